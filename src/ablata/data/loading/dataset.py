"""What every data set says of itself, whatever it is stored in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NominalShape:
    """What a model is sized for where the files have not been read: classes, channels, height and width in pixels."""

    classes: int
    channels: int
    height: int
    width: int
