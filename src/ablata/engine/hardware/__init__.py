"""Devices, precision, memory, processes."""
