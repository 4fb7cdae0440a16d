"""A margin in percent of the control's mean: fixed by the control's runs of the first look, before any verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ablata.stats.rule import Rule

PERCENT = "margin_percent"
"""The key of a study's specification that holds such a margin."""


def judged_rule(spec: Mapping[str, Any], control: Sequence[float], rule: Rule) -> Rule:
    """Return the rule of a study, with a margin in percent turned into the metric's unit.

    It is that share of the mean of the control's first scores, as many as the first look sees, and stays: a margin that
    moved with every look could undo an earlier verdict. Before the first look, and where that mean is 0, there is none.

    Args:
        spec: the study's specification.
        control: the control's scores by row, nan for a run that diverged.
        rule: of the study, or of one of its waves.
    """
    percent, look = spec.get(PERCENT), int(spec["rule"]["first_look"])
    first = [value for value in control[:look] if math.isfinite(value)]
    if percent is None or len(control) < look or not first:
        return rule
    margin = abs(math.fsum(first) / len(first)) * percent / 100
    return replace(rule, margin=margin) if margin > 0 else rule
