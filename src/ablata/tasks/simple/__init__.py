"""A base for tasks of a user's own: a network, map-style data sets, a loss and metrics; the rest is handled."""
