"""Scores that cannot be what they seem: a seed that does nothing, a change without effect, a metric at its limit."""

from __future__ import annotations

from collections.abc import Mapping

from ablata.base.errors import listing

_FEWEST = 3
"""Runs below which equal scores may be chance."""
_FEWEST_DIFFERENCES = 4
"""The same for equal differences: where a score has few steps, three are equal now and then."""
_FULL = 100.0
"""The highest score there is, where the unit is %."""


def impossible(scores: Mapping[str, Mapping[int, float]], control: str, unit: str = "") -> tuple[str, ...]:
    """Return warnings about a study's scores; empty where they are plausible.

    Args:
        scores: by arm the score at each seed (or of each run, numbered, where seeds are not known).
        control: the control's name.
        unit: of the scores; only `%` has a limit that is known.
    """
    base = scores.get(control, {})
    found = []
    if len(base) >= _FEWEST and len(set(base.values())) == 1:
        found.append(
            f"All {len(base)} runs of {control} have the same score. Either the seed does nothing, or the score is at "
            "its limit: the noise is not known, and the verdicts say no more than one run of each arm."
        )
    elif unit == "%" and len(base) >= _FEWEST and sum(value >= _FULL for value in base.values()) > len(base) / 2:
        found.append(f"Most runs of {control} have the highest score there is: no arm can be better.")
    equal, constant = [], []
    for arm, runs in scores.items():
        both = [seed for seed in runs if seed in base]
        if arm == control or len(both) < _FEWEST:
            continue
        differences = [runs[seed] - base[seed] for seed in both]
        size = max(abs(value) for seed in both for value in (runs[seed], base[seed]))
        if not any(differences):
            equal.append(arm)
        elif len(both) >= _FEWEST_DIFFERENCES and max(differences) - min(differences) <= 1e-9 * size:
            constant.append(arm)
    if equal:
        found.append(
            f"{listing(equal)}: the same scores as {control}, seed by seed, to the last digit. A change that does "
            "nothing (a setting that is not read, a file that is not used) looks like that."
        )
    if constant:
        found.append(
            f"{listing(constant)}: the same difference to {control} at every seed, to the last digit. Trainings do not "
            "behave like that; see where the scores come from."
        )
    return tuple(found)
