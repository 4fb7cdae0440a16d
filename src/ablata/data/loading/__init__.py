"""Loaders, worker processes, splits, sampling, caches."""
