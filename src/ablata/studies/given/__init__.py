"""Studies of scores that exist: declared before, judged after, kept in the ledger."""
