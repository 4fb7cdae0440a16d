"""Studies: a question fixed before launch, its runs, and the verdicts."""
