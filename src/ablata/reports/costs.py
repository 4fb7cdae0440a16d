"""What runs cost, as means over those that can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ablata.base.errors import listing
from ablata.records.questions.judged import Load, load_of
from ablata.records.rows import RunRow
from ablata.reports.collect_runs import cost_of
from ablata.reports.view import COSTS, CostView


def mean_cost(runs: Sequence[RunRow], load: Load | None) -> CostView:
    """Mean of what the completed runs cost, each kind over the runs that measured it; times only of one load's runs."""
    completed = [run for run in runs if run.state == "completed"]
    means = {}
    for kind in COSTS:
        counted = [run for run in completed if kind != "seconds" or (load is not None and load_of(run) == load)]
        found = [value for run in counted if (value := getattr(cost_of(run), kind)) is not None]
        means[kind] = math.fsum(found) / len(found) if found else None
    return CostView(**means)


def mean_seconds(runs: Sequence[RunRow]) -> float | None:
    """Mean time of the completed runs under whatever load, to estimate with; None if none was measured."""
    found = [cost.seconds for run in runs if run.state == "completed" and (cost := cost_of(run)).seconds is not None]
    return math.fsum(found) / len(found) if found else None


def time_notes(
    arms: Sequence[str], placed: Sequence[tuple[str, RunRow]], load: Load | None, *, forked: bool
) -> tuple[str, ...]:
    """Say which arms' times cannot be compared, and why; of arms that share their first steps what their times are.

    Args:
        arms: their names, in order.
        placed: runs and the arms they belong to.
        load: under which the runs ran that are compared; None: there is none.
        forked: whether arms share their first steps.
    """
    done = [(arm, run) for arm, run in placed if run.state == "completed"]
    timed = {arm for arm, run in done if load is not None and load_of(run) == load}
    left = [arm for arm in arms if arm in {name for name, _ in done} - timed]
    own = ("Times are of a run's own part, after the beginning that it shares.",) if forked and timed else ()
    if not left:
        return own
    whose = "The times of the runs" if not timed else f"The times of {listing(left)}"
    why = (
        "these runs were trained in another launch, or went on after an interruption"
        if timed
        else "each went on after an interruption, or its launch was not recorded"
    )
    if forked:
        why = "these runs were trained from other steps on, in another launch, or went on after an interruption"
    return (*own, f"{whose} cannot be compared{' with the others' if timed else ''}: {why}.")


def apart_notes(apart: Sequence[int], seeds: int, following: int) -> tuple[str, ...]:
    """Say which seeds are left out of the verdicts of a study of times, and what helps.

    Args:
        apart: those left out.
        seeds: how many the study has.
        following: the first after them.
    """
    if not apart:
        return ()
    return (
        f"{len(apart)} of {seeds} seeds ({listing(map(str, apart))}) are left out of the verdicts: control and arms "
        "were not trained in one launch there, or not at one go. Seeds that are new to the lab are trained in one: "
        f"--first-seed {following}.",
    )
