"""Sets with a class for every pixel."""
