"""What is asked of the ledger across runs: what was judged before, on how many items, and what can be judged."""
