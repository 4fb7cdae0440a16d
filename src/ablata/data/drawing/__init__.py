"""Visualization of samples, labels and predictions."""
