"""Optimisers, schedules, averaging of weights."""
