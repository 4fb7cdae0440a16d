"""Data sets, transforms and loaders. A settings class builds an `LabeledImages`; batches are `ImageBatch`."""
