"""Numbers of a report: how scores, effects, costs and times are rounded and written, and text kept as text."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

from ablata.base.quantities import NOTHING
from ablata.reports.view import Estimate, StudyView


@dataclass(frozen=True)
class Figures:
    """Writes numbers of one study alike: the same decimals everywhere, one digit finer than the margin or the noise.

    Args:
        decimals: digits after the point.
        unit: the metric's unit.
        minus: the minus sign; the typographic one by default.
    """

    decimals: int
    unit: str = ""
    minus: str = "−"

    @classmethod
    def of(cls, view: StudyView, minus: str = "−") -> Figures:
        """Choose the decimals from the study's margin; without one from the widest difference of two runs.

        Up to two more where the interval of a difference that was found would else seem to touch zero.
        """
        pairs = (seed.difference for arm in view.treatments for seed in arm.seeds)
        spread = max((abs(value) for value in pairs if value is not None and math.isfinite(value)), default=0.0)
        fine = _decimals(spread if view.margin is None else view.margin, 2) + 1
        found = (arm.effect for arm in view.treatments if arm.verdict in ("better", "worse"))
        ends = (end for effect in found if effect is not None for end in (effect.low, effect.high))
        closest = min((abs(end) for end in ends if end is not None), default=math.inf)
        fine = max(fine, min(_decimals(closest, fine), fine + 2))
        return cls(decimals=min(max(fine, 0), 15), unit=view.metric.unit, minus=minus)

    def number(self, value: float | None, *, sign: bool = False) -> str:
        """Write one number, or a dash for None; `sign` also writes the plus."""
        if value is None:
            return NOTHING
        if not math.isfinite(value):
            return str(value)
        large = abs(value) >= 1e7
        text = f"{value:.4g}" if large else f"{value:.{self.decimals}f}"
        if float(text) == 0:
            return text.lstrip("-")
        return f"+{text}" if sign and value > 0 else text.replace("-", self.minus)

    def score(self, value: float | None) -> str:
        """Write a score with its unit: `91.23%`."""
        return self.number(value) + (self._unit(self.unit) if value is not None else "")

    def amount(self, value: float) -> str:
        """Write the size of a difference with its unit: `1.90 points`."""
        return self.number(abs(value)) + self._unit(self.difference_unit)

    def span(self, estimate: Estimate | None, *, sign: bool = False) -> str:
        """Write an interval: `[−2.40, −1.41]`, or nothing if there is none."""
        if estimate is None or estimate.low is None or estimate.high is None:
            return ""
        return f"[{self.number(estimate.low, sign=sign)}, {self.number(estimate.high, sign=sign)}]"

    @property
    def difference_unit(self) -> str:
        """The unit of a difference: `points` if scores are in per cent."""
        return "points" if self.unit == "%" else self.unit

    @staticmethod
    def _unit(unit: str) -> str:
        return unit if unit in ("", "%") else f" {unit}"


def clean(text: str) -> str:
    """Replace control characters (terminal codes, line breaks, what XML forbids) by a visible mark."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)


def clip(text: str, letters: int) -> str:
    """Shorten `text` to at most `letters` characters, ending in an ellipsis if anything was cut."""
    return text if len(text) <= letters else text[: max(letters - 1, 1)].rstrip() + "…"


def ratio(value: float | None) -> str:
    """Write a ratio to the control: `1.12×`."""
    return NOTHING if value is None else f"{value:.2f}×" if value < 100 else f"{value:.3g}×"


def _decimals(value: float, otherwise: int) -> int:
    """Return after how many digits behind the point a value's first figure stands; `otherwise` for 0 and infinity."""
    size = abs(value)
    return -math.floor(math.log10(size)) if size > 0 and math.isfinite(size) else otherwise
