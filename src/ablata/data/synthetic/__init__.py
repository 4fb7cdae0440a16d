"""Synthetic data sets, of which everything is known."""
