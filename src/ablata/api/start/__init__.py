"""Starting from a folder: what it holds, which recipe fits it, each choice with its reason, and what it costs here."""
