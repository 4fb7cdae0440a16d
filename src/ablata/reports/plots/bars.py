"""Bars: one quantity a panel, one bar a row, with a line at the value that counts as unchanged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ablata.reports.plots.drawing import Scale, element, image, line, text

WIDTH, ROW, TOP = 230.0, 30.0, 6.0
_LETTER = 6.2
"""Width of a letter of the words, about."""


@dataclass(frozen=True)
class LabeledBar:
    """One bar: its name, its length (None: not measured), the words behind it, and whether it is the reference."""

    name: str
    value: float | None
    words: str
    reference: bool = False


def bars(title: str, rows: Sequence[LabeledBar], *, ident: str, unchanged: float | None = None) -> Markup:
    """Draw horizontal bars that start at zero.

    Args:
        title: what the bars measure.
        rows: the bars, in order; values below zero or not finite are drawn as empty.
        ident: unique within the page.
        unchanged: a value to mark by a vertical line, such as 1 for ratios to the control.
    """
    values = [row.value for row in rows if row.value is not None and math.isfinite(row.value)]
    longest = max([*values, unchanged or 0.0, 0.0]) or 1.0
    scale = Scale(0.0, longest, 0.0, WIDTH - 2)
    height = TOP + ROW * max(len(rows), 1) + 4
    parts = []
    for index, row in enumerate(rows):
        y = TOP + index * ROW
        length = scale(row.value) if row.value is not None and math.isfinite(row.value) else 0.0
        class_ = "bar reference" if row.reference else "bar"
        # The words stand beside the name, not behind the bar, whose end they would cover.
        parts.append(text(0, y + 10, row.name, "small", room=WIDTH - _LETTER * len(row.words) - 10))
        parts.append(text(WIDTH, y + 10, row.words, "small figures", "end"))
        parts.append(element("rect", x=0, y=y + 16, width=length, height=6, class_=class_))
        if unchanged is not None:
            parts.append(line(scale(unchanged), y + 14, scale(unchanged), y + 24, "zero"))
    description = "; ".join(f"{row.name} {row.words}" for row in rows) or "No rows."
    return image(WIDTH, height, title, description, *parts, ident=ident, class_="bars")
