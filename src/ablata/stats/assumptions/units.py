"""Scores in two units: shares of 1 beside percentages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

_PERCENT = 20.0
"""Times by which percentages are at least larger than shares of 1, where both are in a study."""
_ALIKE = 1.25
"""Times by which a share and a percentage of like scores differ at most, once both are percentages."""


@dataclass(frozen=True)
class MixedUnits:
    """Arms with scores up to 1 and arms whose scores look like percentages; an arm may have both.

    Attributes:
        shares, percents: names of the arms.
        certain: a hundred times the shares are what the percentages are, so that it is no training that collapsed.
    """

    shares: tuple[str, ...]
    percents: tuple[str, ...]
    certain: bool


def mixed_units(scores: Mapping[str, Sequence[float]]) -> MixedUnits | None:
    """Return which arms have shares of 1 where others have percentages; None where nothing looks so.

    Args:
        scores: of the runs of each arm, finite.
    """
    known = [value for runs in scores.values() for value in runs]
    shares, percents = [value for value in known if value <= 1], [value for value in known if value > 1]
    if not shares or not percents or min(known) < 0 or max(known) > 100 or min(percents) < _PERCENT * max(shares):
        return None
    ratio = median(percents) / max(median(shares), 1e-9)
    if not _PERCENT < ratio < 100 * 100 / _PERCENT:
        return None
    return MixedUnits(
        tuple(arm for arm, runs in scores.items() if any(value <= 1 for value in runs)),
        tuple(arm for arm, runs in scores.items() if any(value > 1 for value in runs)),
        max(shares) < 1 and 1 / _ALIKE < ratio / 100 < _ALIKE,
    )
