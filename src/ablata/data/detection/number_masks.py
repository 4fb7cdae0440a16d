"""What is odd about masks with one number an object: classes among the numbers, no background, a photograph."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ablata.base.errors import listing
from ablata.base.quantities import counted
from ablata.data.detection.problems import Findings
from ablata.data.io.object_codes import told_classes

_MANY = 16
"""Objects of a mask from which on a photograph is asked after."""
_THIN = 0.1
"""Fraction of its box that an object fills: half of them less, and they are no objects. A disc fills 0.79."""
_VOID = 255
_SHOWN = 3
_FEW = 8


@dataclass
class NumberMasks:
    """Collects the numbers of a set's masks.

    Attributes:
        folder: the set's, for messages.
        numbers: that any mask has, 0 where nothing is.
        bare: masks without a 0.
        bordered: masks of 8 bits in which 255 stands beside small numbers.
    """

    folder: Path
    numbers: set[int] = field(default_factory=set)
    bare: list[str] = field(default_factory=list)
    bordered: list[str] = field(default_factory=list)

    def add(self, where: str, values: np.ndarray, fills: Sequence[float], findings: Findings) -> None:
        """Look at a mask.

        Args:
            where: its name.
            values: whole numbers [H, W].
            fills: fraction of its box that each object takes.
            findings: where a mask that is none is noted.
        """
        present = np.unique(values)
        self.numbers |= {int(number) for number in present if number}
        if len(present) and present[0] > 0:
            self.bare.append(where)
        if values.dtype.itemsize == 1 and len(present) > 1 and present[-1] == _VOID and present[-2] < _VOID // 2:
            self.bordered.append(where)
        if len(fills) >= _MANY and np.median(fills) < _THIN:
            findings.refuse(
                "Each number of a mask must be one object",
                f"{where}: {len(fills)} numbers, most of them strewn over the image: is it a photograph, or smoothed?",
            )

    def note(self, findings: Findings) -> None:
        """Note what the masks have in common."""
        if (told := told_classes(self.numbers)) is not None:
            base, classes = told
            shown = listing(map(str, classes[:_FEW])) + ", ..." * (len(classes) > _FEW)
            findings.refuse(
                "Numbers of objects must not tell classes, which would all become one",
                f"{self.folder}: class * {base} + object, of classes {shown}; to have masks of these: ablata data "
                f"convert {shlex.quote(str(self.folder))} --divide {base} --output NEW_FOLDER; boxes of each: write "
                "COCO's JSON",
            )
        if self.bordered:
            shown = f"{counted(len(self.bordered), 'mask')} ({listing(self.bordered[:_SHOWN])})"
            findings.remark(
                f"255 in {shown} is taken for an object like other numbers; where it means borders or void, write 0"
            )
        if bare := [where for where in self.bare if where not in self.bordered]:
            shown = f"{counted(len(bare), 'mask has', 'masks have')} no 0 ({listing(bare[:_SHOWN])})"
            findings.remark(f"{shown}, which is the background: every pixel is of an object")
