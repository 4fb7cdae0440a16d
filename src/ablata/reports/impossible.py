"""Scores that cannot be what they seem: a seed that does nothing, a change without effect, a metric at its limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ablata.base.errors import listing
from ablata.stats.assumptions.aa_test import equal_pairs
from ablata.stats.assumptions.units import mixed_units

_FEWEST = 3
"""Runs below which equal scores may be chance."""
_FEWEST_DIFFERENCES = 4
"""The same for equal differences: where a score has few steps, three are equal now and then."""
_MANY_STEPS = 20
"""Steps of a score between the least and the greatest run from which three equal differences are not chance."""
_RARE = 1e-3
"""Probability below which equal scores at different seeds are not put down to the score's steps."""

Scores = Mapping[str, Mapping[int, float]]


def impossible(scores: Scores, control: str, unit: str = "", *, higher_is_better: bool = True) -> tuple[str, ...]:
    """Return warnings about a study's scores; empty where they are plausible.

    Args:
        scores: by arm the score at each seed (or of each run, numbered, where seeds are not known).
        control: the control's name.
        unit: of the scores.
        higher_is_better: False for a loss or an error.
    """
    return (
        *_seedless(scores, control),
        *_copies(scores),
        *at_limit(scores, control, unit, higher_is_better=higher_is_better),
        *_without_effect(scores, control),
        *_units(scores),
    )


def at_limit(scores: Scores, control: str, unit: str = "", *, higher_is_better: bool = True) -> tuple[str, ...]:
    """Return the warnings of `impossible` about arms most of whose runs have the best score there is."""
    limit = _limit(scores, unit, higher_is_better)
    return () if limit is None else tuple(_at_limit(scores, control, limit))


def _limit(scores: Scores, unit: str, higher_is_better: bool) -> float | None:
    """Return the best score there is: 100%, 1 of a share, 0 of an error; None where it is not known.

    Of a number without a unit it is known where some run has it: 1, or 100.
    """
    found = [value for runs in scores.values() for value in runs.values()]
    if not higher_is_better:
        return 0.0 if found and min(found) >= 0 else None
    if unit == "%":
        return 100.0
    best = max(found, default=0.0)
    return best if unit == "" and best in (1, 100) and min(found) >= 0 else None


def _steps(values: Sequence[float]) -> float:
    """Return how many steps of their last digit lie between the least and the greatest score."""
    digits = max(len(f"{value:.9f}".rstrip("0").partition(".")[2]) for value in values)
    return (max(values) - min(values)) * 10.0**digits


def _constant(runs: Mapping[int, float]) -> bool:
    return len(runs) >= _FEWEST and len(set(runs.values())) == 1


def _seedless(scores: Scores, control: str) -> Iterator[str]:
    """Runs of one arm that all score the same."""
    base = scores.get(control, {})
    if _constant(base):
        yield (
            f"All {len(base)} runs of {control} have the same score. Either the seed does nothing, or the score is at "
            "its limit: the noise is not known, and a difference says no more than one run of each arm."
        )
        return
    if stiff := [arm for arm, runs in scores.items() if arm != control and _constant(runs)]:
        whose = "its runs have" if len(stiff) == 1 else "the runs of each have"
        yield (
            f"{listing(stiff)}: {whose} the same score at every seed, while those of {control} differ. The change may "
            "have switched the seed off, or broken the training."
        )


def _copies(scores: Scores) -> Iterator[str]:
    """Runs of one arm at different seeds that are equal more often than the score's steps explain."""
    alike = [
        arm
        for arm, runs in scores.items()
        if len(runs) > _FEWEST and not _constant(runs) and equal_pairs(list(runs.values()))[2] < _RARE
    ]
    if alike:
        yield (
            f"{listing(alike)}: runs at different seeds have the same score to the last digit. Some seeds may do the "
            "same, or a result is kept and used again: such runs count once, not several times."
        )


def _at_limit(scores: Scores, control: str, limit: float) -> Iterator[str]:
    """Arms most of whose runs have the best score there is."""
    full = [
        arm
        for arm, runs in scores.items()
        if len(runs) >= _FEWEST and sum(value == limit for value in runs.values()) > len(runs) / 2
    ]
    if control in full:
        yield f"Most runs of {control} have the best score there is, {limit:g}: no arm can be better."
    elif full:
        yield (
            f"Most runs of {listing(full)} have the best score there is, {limit:g}: how much better they are cannot be "
            "seen with this metric."
        )


def _units(scores: Scores) -> Iterator[str]:
    """Shares of 1 beside percentages: some scores up to 1, all others about a hundred times as large."""
    mixed = mixed_units({arm: list(runs.values()) for arm, runs in scores.items()})
    if mixed is not None:
        yield (
            f"Some scores are shares of 1 (in {listing(mixed.shares)}) and others look like percentages (in "
            f"{listing(mixed.percents)}): write all of them in one unit."
        )


def _without_effect(scores: Scores, control: str) -> Iterator[str]:
    """Arms whose scores are those of the control, or of another arm, or apart by one number."""
    base = scores.get(control, {})
    equal, shifted = [], []
    for arm, runs in scores.items():
        both = [seed for seed in runs if seed in base]
        if arm == control or len(both) < _FEWEST:
            continue
        differences = [runs[seed] - base[seed] for seed in both]
        size = max(abs(value) for seed in both for value in (runs[seed], base[seed]))
        if not any(differences):
            equal.append(arm)
        elif (
            (len(both) >= _FEWEST_DIFFERENCES or _steps([base[seed] for seed in both]) >= _MANY_STEPS)
            and max(differences) - min(differences) <= 1e-9 * size
            and not _constant({seed: base[seed] for seed in both})
        ):
            shifted.append(arm)
    if equal:
        yield (
            f"{listing(equal)}: the same scores as {control}, seed by seed, to the last digit. A change that does "
            "nothing (a setting that is not read, a file that is not used) looks like that."
        )
    groups: dict[tuple[tuple[int, float], ...], list[str]] = {}
    for arm, runs in scores.items():
        if len(runs) >= _FEWEST and arm != control and arm not in equal and not _constant(runs):
            groups.setdefault(tuple(sorted(runs.items())), []).append(arm)
    for arms in groups.values():
        if len(arms) > 1:
            yield (
                f"{listing(arms)}: the same scores as each other, seed by seed, to the last digit. What tells them "
                "apart does nothing."
            )
    if shifted:
        yield (
            f"{listing(shifted)}: the same difference to {control} at every seed, to the last digit. Trainings do not "
            "behave like that; see where the scores come from."
        )
