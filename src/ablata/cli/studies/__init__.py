"""Commands that end in verdicts: `ablata study`, `compare`, `judge` and `replicate`."""
