"""Finished runs as predictors, and their exports."""
