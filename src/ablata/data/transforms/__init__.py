"""Transforms: augmentation and normalization."""
