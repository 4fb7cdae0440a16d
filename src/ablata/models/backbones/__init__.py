"""Backbones and classifiers."""
