"""What a check of a data set gives, whatever its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class DataReport(Protocol):
    """Report on a data set: what it holds, and what is wrong with it."""

    @property
    def problems(self) -> Sequence[object]:
        """What must be repaired; each says what and where as text."""

    @property
    def remarks(self) -> Sequence[object]:
        """What is worth knowing, and does no harm."""

    def lines(self) -> list[str]:
        """Return what the set holds, in words."""

    def class_lines(self) -> list[str]:
        """Return a line for each class."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
