"""One published model a file: what it is, its source, its shapes, and named intermediates in its output."""
