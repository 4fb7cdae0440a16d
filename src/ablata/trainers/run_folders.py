"""Runs from folders that training tools and trackers wrote: a folder with a file of figures is a run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ablata.base.errors import DataError
from ablata.trainers.given import GivenRuns
from ablata.trainers.readers import curves, mlflow, wandb
from ablata.trainers.readers.settings import read_settings
from ablata.trainers.readers.tensorboard import is_event_file
from ablata.trainers.readers.tracker import TrackedRun
from ablata.trainers.tracked import NAME, given_of_tracked

_MOST_FOLDERS = 100_000
_SHOWN = 3
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_HPARAMS = re.compile(r"\d{10}\.\d+")
"""Folders below a run into which `SummaryWriter.add_hparams` writes its settings once more."""
_SPLITS = ("train", "validation", "val", "valid", "eval", "test")
"""Folders of one run into which Keras and others write an event file each."""


def read_run_folders(
    root: Path, *, score: str | None = None, arm_from: str = NAME, take: curves.Take = "last"
) -> GivenRuns:
    """Read every run below a folder.

    Args:
        root: the folder; links to folders are not followed.
        score: the figure that is judged; None to take the only one there is.
        arm_from: see `given_of_tracked`.
        take: which value of a curve counts.

    Raises:
        DataError: there are no runs, a run has no such score, or no such setting.
    """
    unread: dict[Path, str] = {}
    runs = list(_runs(root, take, unread))
    if not runs:
        raise DataError(
            "A folder of runs must hold files of figures",
            found=f"{root}: none named {', '.join(curves.FILES[:8])} ...",
            do="a table with a line a run can be given as a file",
        )
    given = given_of_tracked(runs, root.resolve().name, score=score, arm_from=arm_from)
    how = f"of a curve the {'last' if take == 'last' else f'best ({take})'} value counts"
    return replace(given, notes=(*given.notes, *_unread_words(root, unread), how))


def _unread_words(root: Path, unread: dict[Path, str]) -> Iterator[str]:
    """Say which files of settings could not be read: seeds and arms may stand in them."""
    if unread:
        shown = [f"{path.relative_to(root).as_posix()} ({reason})" for path, reason in list(unread.items())[:_SHOWN]]
        more = f" and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
        yield f"settings that could not be read are left out: {', '.join(shown)}{more}"


def _runs(root: Path, take: curves.Take, unread: dict[Path, str]) -> Iterator[TrackedRun]:
    """Yield the runs below a folder in the order of their paths; notes the files of settings that cannot be read."""
    for number, (name, below, files) in enumerate(os.walk(root)):
        below.sort()
        if number >= _MOST_FOLDERS:
            raise DataError(
                f"A folder of runs must have at most {_MOST_FOLDERS:,} folders in it",
                found=str(root),
                do="name the folders of the runs to be judged",
            )
        folder = Path(name)
        tracker = sorted(file for file in files if file.endswith(wandb.SUFFIX))
        if tracker:
            below[:] = [each for each in below if each != "files"]
            yield from (wandb.read_wandb_file(folder / file, take) for file in tracker)
        elif mlflow.is_run_folder(files, below):
            below.clear()
            if run := mlflow.read_run_folder(folder, take):
                yield run
        elif "mlflow.db" in files:
            yield from mlflow.read_database(folder / "mlflow.db", take)
        elif paths := _files_of_figures(folder, files):
            below[:] = [each for each in below if not _HPARAMS.fullmatch(each)]
            yield _run(root, folder, curves.read_scores(paths, take), paths, unread)
        elif split := _split(folder, below):
            scores = {
                f"{part}/{key}": value
                for part, events in split.items()
                for key, value in curves.read_scores(events, take).items()
            }
            below[:] = [each for each in below if each not in split]
            yield _run(root, folder, scores, [path for paths in split.values() for path in paths], unread)
        _leave_earlier_checkpoints(below, files)


def _files_of_figures(folder: Path, files: list[str]) -> list[Path]:
    """Return the file that holds the figures of a run; of event files all that there are."""
    known = next((name for name in curves.FILES if name in files), None)
    if known is not None:
        return [folder / known]
    return [folder / name for name in sorted(files) if is_event_file(name)]


def _split(folder: Path, below: list[str]) -> dict[str, list[Path]]:
    """Return the event files of a run that has a folder for each split; nothing where it has none for training."""
    found = {part: _files_of_figures(folder / part, os.listdir(folder / part)) for part in below if part in _SPLITS}
    kept = {part: paths for part, paths in found.items() if paths and is_event_file(paths[0].name)}
    return kept if "train" in kept else {}


def _leave_earlier_checkpoints(below: list[str], files: list[str]) -> None:
    """Leave out the checkpoints of a run of Hugging Face's Trainer whose figures the last one, or the run, has too."""
    saved = {name: int(match[1]) for name in below if (match := _CHECKPOINT.fullmatch(name))}
    last = None if "trainer_state.json" in files else max(saved, key=lambda name: saved[name], default=None)
    below[:] = [name for name in below if name not in saved or name == last]


def _run(root: Path, folder: Path, scores: dict[str, float], files: list[Path], unread: dict[Path, str]) -> TrackedRun:
    settings, faults = read_settings(folder)
    unread |= faults
    for above in (folder.parent, folder.parent.parent):
        if not settings and root in above.parents:
            settings, faults = read_settings(above)
            unread |= faults
    return TrackedRun(
        name=folder.relative_to(root).as_posix() if folder != root else "",
        settings=settings,
        scores=scores,
        source=str(files[0].relative_to(root)),
        time=min(path.stat().st_mtime for path in files),
    )
