"""Pixel-contrastive losses."""
