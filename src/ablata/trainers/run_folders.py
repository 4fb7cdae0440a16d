"""Runs from folders that training tools wrote: a folder with a file of figures is a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ablata.base.errors import DataError, choices, listing
from ablata.trainers.given import GivenRun, GivenRuns, choose_score
from ablata.trainers.readers import curves
from ablata.trainers.readers.settings import read_settings, seed_of, without_seed

_MOST_FOLDERS = 100_000
_NOT_AN_ARM = re.compile(
    r"version_\d+|vis_data|wandb|lightning_logs|files|checkpoint-\d+|(?:offline-)?run-[\w-]+|latest-run|"
    r"\d{8}[-_]\d{6}(?:-.*)?|\d{4}-\d{2}-\d{2}[T_-].*|weights|metrics|logs?"
)
"""Folders that a tool makes by itself: versions, times, ids."""


def read_run_folders(
    root: Path, *, score: str | None = None, arm_from: str = "folder", take: curves.Take = "last"
) -> GivenRuns:
    """Read every run below a folder.

    Args:
        root: the folder; links to folders are not followed.
        score: the figure that is judged; None to take the only one there is.
        arm_from: `folder` names an arm by its run's folder, without seed, versions and times; else the setting whose
            value names it.
        take: which value of a curve counts.

    Raises:
        DataError: there are no runs, a run has no such score, or no such setting.
    """
    places = list(_run_files(root))
    if not places:
        raise DataError(
            "A folder of runs must hold files of figures",
            found=f"{root}: none named {', '.join(curves.FILES[:8])} ...",
            do="a table with a line a run can be given as a file",
        )
    runs = [_run(root, path, arm_from, take) for path in places]
    name, notes = choose_score(runs, score)
    missing = [run.source for run in runs if name not in run.scores]
    if missing:
        raise DataError(f"Every run must have the score {name}", found=f"{len(missing)} do not: {listing(missing[:5])}")
    if all(run.seed is None for run in runs):
        notes = (*notes, "no seed is told by settings or folder names")
    notes = (*notes, f"of a curve the {'last' if take == 'last' else f'best ({take})'} value counts")
    return GivenRuns(runs=tuple(runs), score=name, notes=notes)


def _run_files(root: Path) -> Iterator[Path]:
    for number, (folder, below, files) in enumerate(os.walk(root)):
        below.sort()
        if number >= _MOST_FOLDERS:
            raise DataError(f"A folder of runs must have at most {_MOST_FOLDERS:,} folders in it", found=str(root))
        name = next((name for name in curves.FILES if name in files), None)
        if name is not None:
            yield Path(folder) / name


def _run(root: Path, path: Path, arm_from: str, take: curves.Take) -> GivenRun:
    parts = path.parent.relative_to(root).parts
    settings = read_settings(path.parent)
    for folder in (path.parent.parent, path.parent.parent.parent):
        if not settings and root in folder.parents:
            settings = read_settings(folder)
    source = str(Path(*parts, path.name))
    if arm_from == "folder":
        kept = [without_seed(part) for part in parts if not _NOT_AN_ARM.fullmatch(part)]
        arm = "/".join(part for part in kept if part) or root.resolve().name
    elif arm_from in settings:
        arm = f"{arm_from}={settings[arm_from]}"
    else:
        found = f"{source}: its settings are {choices(settings, arm_from)}" if settings else f"{source}: no settings"
        raise DataError(f"--arm-from {arm_from} must be a setting of every run", found=found, do="--arm-from folder")
    return GivenRun(arm=arm, seed=seed_of(settings, parts), scores=curves.read_scores(path, take), source=source)
