"""Studies between ledgers: one file that holds a study whole, written here and read elsewhere."""
