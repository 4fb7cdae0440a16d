"""Typed batches, targets and predictions; every field states shape, dtype and range. Imports base only."""
