"""Drawings of samples, labels and predictions."""
