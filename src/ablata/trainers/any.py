"""The trainers beside our own recipes: programs and functions, which say their scores and nothing else."""

from __future__ import annotations

from ablata.trainers.command import Command
from ablata.trainers.function import Function

Outside = Command | Function
"""Runs what is not ours; for `isinstance`, too."""
