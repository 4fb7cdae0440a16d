"""Re-identification data sets: identities seen by several cameras."""
