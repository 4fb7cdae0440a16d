"""Workers: processes that take the next run of a study from the ledger and train, start or call it."""
