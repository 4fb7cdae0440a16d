"""Semantic segmentation data sets."""
