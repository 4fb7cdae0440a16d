"""Guardrails of a study as they are typed: a quantity that runs record, and by how much an arm may worsen it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablata.base.errors import SettingsError
from ablata.base.metric import Metric
from ablata.records.questions.judged import COST
from ablata.studies.metric import judged_metric
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

GUARDS = "guards"
"""The key of a study's specification that holds its guardrails."""
_AMOUNT = re.compile(r"([+-]?)((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(%?)")
_ALIASES = {"memory": "peak_memory"}
_EXAMPLE = "--guard seconds:+3%, --guard peak_memory:+5% or --guard val/plain/loss:+0.01"


@dataclass(frozen=True)
class Guard:
    """A guardrail.

    Args:
        metric: what must not become worse.
        allowed: by how much it may, above 0, in the metric's unit or in percent of the control's mean.
        percent: whether it is the latter.
    """

    metric: Metric
    allowed: float
    percent: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as a specification holds it."""
        metric = self.metric
        told = {"key": metric.key, "name": metric.name, "unit": metric.unit}
        return told | {
            "higher_is_better": metric.higher_is_better, "allowed": self.allowed, "percent": self.percent
        }  # fmt: skip


def parse_guard(control: Recipe | Outside, text: str) -> Guard:
    """Return a guardrail from `NAME:+3%`, `NAME:-0.5` or `NAME:3%`.

    The sign is the direction that is worse; what is known of the quantity decides where it is left out.

    Args:
        control: the study's control.
        text: as typed.

    Raises:
        SettingsError: it is written otherwise, its sign points to the better side, or no run records the quantity.
    """
    name, colon, amount = text.rpartition(":")
    found = _AMOUNT.fullmatch(amount.strip())
    if not colon or not name.strip() or found is None or float(found[2]) == 0:
        raise SettingsError(
            "A guardrail is a quantity and by how much it may become worse, above 0", found=f"--guard {text}",
            do=_EXAMPLE,
        )  # fmt: skip
    name, sign = name.strip(), found[1]
    metric = judged_metric(control, _ALIASES.get(name, name))
    if sign and isinstance(control, Outside) and metric.protocol != COST:
        metric = replace(metric, higher_is_better=sign == "-")
    worse = "-" if metric.higher_is_better else "+"
    if sign and sign != worse:
        better = "higher" if metric.higher_is_better else "lower"
        raise SettingsError(
            f"A guardrail says how much worse is allowed, and {better} {metric.name} is better",
            found=f"--guard {text}", do=f"--guard {name}:{worse}{found[2]}{found[3]}",
        )  # fmt: skip
    return Guard(metric, float(found[2]), bool(found[3]))
