"""Whole image classifiers; backbones that classify too stand in `backbones`."""
