"""What a check of a data set gives, whatever its task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from ablata.base.errors import listing

_SHOWN = 4
"""Names that a sentence lists."""


def alike_classes(names: Sequence[str]) -> str | None:
    """Return a sentence on classes whose names differ in capitals alone; None: there are none."""
    folded = Counter(name.casefold() for name in set(names))
    same = [name for name in dict.fromkeys(names) if folded[name.casefold()] > 1]
    more = f" and {len(same) - _SHOWN} more" if len(same) > _SHOWN else ""
    told = "classes whose names differ in capitals alone are trained as different ones"
    return f"{told}: {listing(same[:_SHOWN])}{more}" if same else None


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
