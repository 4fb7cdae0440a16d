"""Sets of identities seen by several cameras."""
