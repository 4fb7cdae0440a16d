"""Augmentation and normalisation."""
