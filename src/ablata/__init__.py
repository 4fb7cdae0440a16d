"""ablata: a lab for vision models. Rooms and their import law are listed in the README."""

__version__ = "0.1.0"
