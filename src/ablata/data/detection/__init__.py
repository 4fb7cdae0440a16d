"""Sets with boxes and masks of objects."""
