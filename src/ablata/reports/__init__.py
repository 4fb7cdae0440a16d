"""Reports of studies and runs: one view, drawn for the terminal, as Markdown, and as a page in one file. No torch."""
