"""Scores of one run from the file that a training tool wrote: curves as CSV or JSON, or a summary.

| tool | file | layout |
|---|---|---|
| ultralytics | results.csv | a line an epoch, names padded with spaces |
| PyTorch Lightning (CSVLogger) | metrics.csv | a line a logging step, cells of other steps empty |
| timm | summary.csv | a line an epoch |
| Keras (CSVLogger) | *.csv, *.log with a column `epoch` | a line an epoch |
| Hugging Face Trainer | trainer_state.json | `log_history`, a list of objects |
| mmengine | vis_data/scalars.json | an object a line |
| detectron2 | metrics.json | an object a line |
| Weights & Biases | wandb-summary.json | one object |
| TensorBoard, and what writes its files | events.out.tfevents.* | see `tensorboard` |
| anything | metrics.json, scores.json, results.json, summary.json | one object, or a list, or one a line |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from ablata.base.errors import DataError
from ablata.base.json_text import parse_json
from ablata.trainers.readers.tables import finite_numbers, flatten, read_json_rows, read_table, read_text
from ablata.trainers.readers.tensorboard import is_event_file, read_events

Take = Literal["last", "max", "min"]
"""Which value of a curve is the run's score."""

FILES = (
    "results.csv",
    "metrics.csv",
    "summary.csv",
    "trainer_state.json",
    "scalars.json",
    "wandb-summary.json",
    "metrics.json",
    "scores.json",
    "results.json",
    "summary.json",
    "training.log",
    "log.csv",
    "history.csv",
)
"""Names of files that hold a run's figures; in a folder with several the first that is listed counts."""


def read_scores(paths: Iterable[Path], take: Take) -> dict[str, float]:
    """Return a run's figures by name, of each the last, the largest or the smallest finite value.

    Args:
        paths: the run's file; of event files one for each time that the run was started, in their order.
        take: which value of a curve counts.

    Raises:
        DataError: a file is not what its name says.
    """
    return chosen((point for path in paths for point in _points(path)), take)


def chosen(points: Iterable[Mapping[str, object]], take: Take) -> dict[str, float]:
    """Return of each figure the last, the largest or the smallest finite value of a curve's points."""
    found: dict[str, float] = {}
    better: dict[str, Callable[[float, float], bool]] = {
        "last": lambda new, old: True,
        "max": lambda new, old: new > old,
        "min": lambda new, old: new < old,
    }
    for point in points:
        for name, value in finite_numbers(point).items():
            if name not in found or better[take](value, found[name]):
                found[name] = value
    return found


def _points(path: Path) -> Iterable[Mapping[str, object]]:
    if is_event_file(path.name):
        return read_events(path)
    if path.name == "trainer_state.json":
        return _trainer_state(path)
    if path.suffix == ".json":
        return [flatten(row) for row in read_json_rows(read_text(path), path)]
    return read_table(path)


def _trainer_state(path: Path) -> list[Mapping[str, Any]]:
    try:
        history = parse_json(read_text(path))["log_history"]
    except (ValueError, RecursionError, KeyError, TypeError):
        history = None
    if not isinstance(history, list) or not all(isinstance(point, dict) for point in history):
        raise DataError(
            "trainer_state.json must hold a list `log_history`",
            found=f"{path}: none that can be read",
            do="give a folder that the trainer has written, or the scores as CSV",
        )
    return history
