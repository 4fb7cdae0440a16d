"""Generated data sets, of which everything is known."""
