"""Ground of the package: errors, settings, seeds and safe files. Imports nothing of ablata and no torch."""
