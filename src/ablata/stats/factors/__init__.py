"""Factorial studies: two-level designs, each change judged averaged over the others, and cells that left no score."""
