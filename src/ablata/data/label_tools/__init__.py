"""Checking, converting and splitting label files."""
