"""Runs of other tools as the arms and seeds of a comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ablata.base.errors import DataError, choices, listing
from ablata.trainers.given import GivenRun, GivenRuns, choose_score
from ablata.trainers.readers.settings import seed_of, without_seed
from ablata.trainers.readers.tracker import TrackedRun

NAME = "folder"
"""In place of a setting: an arm is named as its runs' folders are, or as their tool calls them."""
_NOT_AN_ARM = re.compile(
    r"version_\d+|vis_data|wandb|lightning_logs|files|checkpoint-\d+|(?:offline-)?run-[\w-]+|latest-run|"
    r"\d{8}[-_]\d{6}(?:-.*)?|\d{4}-\d{2}-\d{2}[T_-].*|weights|metrics|logs?"
)
"""Folders that a tool makes by itself: versions, times, ids."""


def given_of_tracked(
    runs: Sequence[TrackedRun], fallback: str, *, score: str | None = None, arm_from: str = NAME
) -> GivenRuns:
    """Return runs of other tools with their arms and seeds.

    Args:
        runs: at least one.
        fallback: the arm of runs whose names tell none.
        score: the figure that is judged; None to take the only one there is.
        arm_from: `folder` names an arm by its runs' folders, without seed, versions and times, or by their groups in
            their tool if there are several, or by their names; else the setting whose value names it.

    Raises:
        DataError: no run ended, a run has no such score, or no such setting.
    """
    ended = [run for run in runs if run.ended and run.scores]
    notes = []
    if left := len(runs) - len(ended):
        notes.append(f"{left} run{'s' * (left > 1)} that did not end, or hold no figures, are left out")
    if not ended:
        raise DataError(
            "There must be a run that ended and holds figures",
            found=f"{len(runs)} that do not",
            do="wait for one, or name other runs",
        )
    grouped = all(run.group for run in ended) and len({run.group for run in ended}) > 1
    if grouped and arm_from == NAME:
        notes.append("arms are the groups of the runs")
    several = len({run.project for run in ended}) > 1
    made = [_given(run, fallback, arm_from, grouped=grouped, several=several) for run in ended]
    name, guessed = choose_score(made, score)
    missing = [run.source for run in made if name not in run.scores]
    if missing:
        raise DataError(
            f"Every run must have the score {name}",
            found=f"{len(missing)} do not: {listing(missing[:5])}",
            do="leave those runs out, or name another score: --score NAME",
        )
    if all(run.seed is None for run in made):
        notes.append("no seed is told by settings or names")
    times = [run.time for run in ended]
    oldest = None if None in times else min(time for time in times if time is not None)
    return GivenRuns(runs=tuple(made), score=name, notes=(*guessed, *notes), oldest=oldest)


def _given(run: TrackedRun, fallback: str, arm_from: str, *, grouped: bool, several: bool) -> GivenRun:
    parts = tuple(part for part in run.name.split("/") if part)
    if arm_from in run.settings:
        arm = f"{arm_from}={run.settings[arm_from]}"
    elif arm_from == NAME:
        kept = [run.group] if grouped else [without_seed(part) for part in parts if not _NOT_AN_ARM.fullmatch(part)]
        arm = "/".join(part for part in ([run.project] if several else []) + kept if part) or fallback
    else:
        known = f"its settings are {choices(run.settings, arm_from)}" if run.settings else "no settings"
        raise DataError(
            f"--arm-from {arm_from} must be a setting of every run",
            found=f"{run.source}: {known}",
            do=f"--arm-from {NAME}",
        )
    return GivenRun(arm=arm, seed=seed_of(dict(run.settings), parts), scores=run.scores, source=run.source)
