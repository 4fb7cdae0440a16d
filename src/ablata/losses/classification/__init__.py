"""Losses of class labels."""
