"""Optimisers, learning-rate schedules, EMA of weights."""
