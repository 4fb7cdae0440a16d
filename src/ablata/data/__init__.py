"""Data sets, transforms and loaders. A settings class builds a `Dataset`."""
