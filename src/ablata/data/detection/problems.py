"""Faults of annotations: what is repaired, what is refused, and how both are told.

The rule: what has one meaning is repaired, what holds nothing is left out, everything else is refused. Each fault is
told with the file, the annotation, the field and its value. docs/howto/boxes.md has the whole table.

An image without objects is no fault: it is trained and scored on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ablata.base.errors import DataError, listing

OnInvalid = Literal["repair", "refuse"]

_SHOWN = 3


@dataclass(frozen=True)
class AnnotationFault:
    """A fault of an annotation or an image file.

    Attributes:
        kind: what must hold, or what was done about it.
        where: file, annotation, field and value.
        repaired: training goes on without it; else it is refused.
    """

    kind: str
    where: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"


@dataclass
class Findings:
    """Collects faults.

    Attributes:
        on_invalid: whether what can be repaired is.
        repaired: examples by what was done.
        refused: examples by what must hold.
        remarks: what is worth knowing, and no fault.
    """

    on_invalid: OnInvalid
    repaired: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def repairable(self, must: str, done: str, where: str) -> None:
        """Note a fault that is repaired, or refused where the setting says so.

        Args:
            must: what must hold.
            done: what the repair is.
            where: file and object.
        """
        target, key = (self.repaired, done) if self.on_invalid == "repair" else (self.refused, must)
        target.setdefault(key, []).append(where)

    def refuse(self, must: str, where: str) -> None:
        """Note a fault that nothing can repair."""
        self.refused.setdefault(must, []).append(where)

    def remark(self, text: str) -> None:
        """Note what is no fault and worth knowing."""
        self.remarks.append(text)

    def all(self) -> Iterator[AnnotationFault]:
        """Yield every fault, those that are refused first."""
        for must, places in self.refused.items():
            yield from (AnnotationFault(must, where) for where in places)
        for done, places in self.repaired.items():
            yield from (AnnotationFault(done, where, repaired=True) for where in places)

    def notices(self) -> tuple[str, ...]:
        """Return a sentence for each kind of repair.

        Raises:
            DataError: something is refused; names the first kind with examples, and counts the others.
        """
        for must, places in self.refused.items():
            others = [other for other in self.refused if other != must]
            more = f"; and {len(others)} other kinds of faults: {listing(others[:_SHOWN])}"
            raise DataError(
                must,
                found=_some(places) + (more if others else ""),
                do="correct the annotations (ablata data check lists every fault)"
                if self.on_invalid == "repair"
                else "correct them, or set data.on_invalid=repair",
            )
        return (*(f"{done}: {_some(places)}" for done, places in self.repaired.items()), *self.remarks)


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more


def written(numbers: Sequence[float]) -> str:
    """Return numbers as a message shows them: `[1, 2.5]`."""
    return "[" + ", ".join(f"{value:g}" for value in numbers) + "]"
