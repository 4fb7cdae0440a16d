"""Object detection data sets: boxes, and masks of objects."""
