"""The ignore label (255); apart from the batches, so that tools for label files need no torch."""

IGNORE = 255
"""Label of a pixel that counts neither in training nor in a score."""
