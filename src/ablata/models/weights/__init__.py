"""Pretrained weights: reading files, translating their names, sources of weights by name."""
