"""Data sets, transforms and loaders. A settings class builds an `ImageData`; batches are `ImageBatch`."""
