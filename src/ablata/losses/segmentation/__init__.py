"""Losses over pixels."""
