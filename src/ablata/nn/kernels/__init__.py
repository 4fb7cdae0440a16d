"""Fast paths, each with its measured reason."""
