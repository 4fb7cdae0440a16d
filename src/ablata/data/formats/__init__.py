"""Formats of annotation tools: recognized, read into the sets there are, and written."""
