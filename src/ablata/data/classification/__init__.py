"""Sets with one label for each image."""
