"""Research loops: one proposed change after another, kept or discarded by a rule for the whole stream."""
