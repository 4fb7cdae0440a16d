"""Tasks: what joins a model, its data, its loss and its metric."""
