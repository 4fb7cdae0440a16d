"""Runs of an MLflow store: the folder `mlruns`, or its SQLite database, read without MLflow.

| store | where | run |
|---|---|---|
| folder | `mlruns/EXPERIMENT/RUN/` | `meta.yaml`, `params/KEY`, `metrics/KEY` with lines of time, value, step |
| database | tables `experiments`, `runs`, `params`, `metrics`, `latest_metrics` | a row of `runs` |
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError
from ablata.base.yaml_files import YamlFileError, parse_yaml
from ablata.trainers.readers.curves import Take, chosen
from ablata.trainers.readers.tables import number, read_text
from ablata.trainers.readers.tracker import TrackedRun, plain_value

META = "meta.yaml"
_FINISHED = (3, "3", "FINISHED")
_SQLITE = b"SQLite format 3\0"
_BEST = {"max": "max(value)", "min": "min(value)"}


def is_run_folder(files: list[str], folders: list[str]) -> bool:
    """Return whether a folder is a run of `mlruns`, by what lies in it."""
    return META in files and "metrics" in folders


def read_run_folder(folder: Path, take: Take) -> TrackedRun | None:
    """Return a run of the folder `mlruns`; None if it was deleted, or is a model that was logged beside the runs.

    Raises:
        DataError: `meta.yaml` or a file of metrics cannot be read.
    """
    meta = _meta(folder / META)
    if meta.get("lifecycle_stage") == "deleted" or not meta.keys() & {"run_id", "run_uuid"}:
        return None
    scores: dict[str, float] = {}
    for path in sorted(path for path in (folder / "metrics").rglob("*") if path.is_file()):
        name = path.relative_to(folder / "metrics").as_posix()
        scores |= chosen(({name: _value(line, path)} for line in read_text(path).splitlines() if line.strip()), take)
    params = folder / "params"
    settings = {
        path.relative_to(params).as_posix(): plain_value(read_text(path).strip())
        for path in sorted(params.rglob("*"))
        if path.is_file()
    }
    above = folder.parent / META
    return TrackedRun(
        name=str(meta.get("run_name") or ""),
        project=str(_meta(above).get("name") or "") if above.is_file() else "",
        settings=settings,
        scores=scores,
        source=folder.name,
        ended=meta.get("status") in _FINISHED,
        time=_seconds(meta.get("start_time")),
    )


def is_database(path: Path) -> bool:
    """Return whether a file is an SQLite database, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def read_database(path: Path, take: Take) -> list[TrackedRun]:
    """Return the runs of an MLflow database that were not deleted.

    Raises:
        DataError: it is another program's database, or damaged.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return _runs(database, path.name, take)
    except sqlite3.Error as error:
        raise DataError(
            "An SQLite file of results must be MLflow's",
            found=f"{path}: {error}",
            do="give MLflow's own database, or the scores as CSV",
        ) from None


def _runs(database: sqlite3.Connection, source: str, take: Take) -> list[TrackedRun]:
    settings: dict[str, dict[str, Any]] = defaultdict(dict)
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for run, key, text in database.execute("SELECT run_uuid, key, value FROM params"):
        settings[run][key] = plain_value(str(text))
    query = "SELECT run_uuid, key, value FROM latest_metrics WHERE NOT is_nan"
    if take in _BEST:
        query = f"SELECT run_uuid, key, {_BEST[take]} FROM metrics WHERE NOT is_nan GROUP BY run_uuid, key"
    for run, key, value in database.execute(query):
        if value is not None and math.isfinite(value):
            scores[run][key] = float(value)
    query = (
        "SELECT run_uuid, runs.name, experiments.name, status, start_time FROM runs "
        "LEFT JOIN experiments ON experiments.experiment_id = runs.experiment_id "
        "WHERE runs.lifecycle_stage = 'active' ORDER BY start_time, run_uuid"
    )
    return [
        TrackedRun(
            name=name or "",
            project=experiment or "",
            settings=settings[run],
            scores=scores[run],
            source=f"{source}, run {name or run}",
            ended=status in _FINISHED,
            time=_seconds(started),
        )
        for run, name, experiment, status, started in database.execute(query)
    ]


def _seconds(milliseconds: object) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else None


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta = parse_yaml(read_text(path))
    except (YamlFileError, UnicodeDecodeError) as error:
        found = f"{path}: {' '.join(str(error).split())[:120]}"
        raise DataError(
            "MLflow's meta.yaml must be YAML", found=found, do="bring back the file, or leave its run out"
        ) from None
    return meta if isinstance(meta, dict) else {}


def _value(line: str, path: Path) -> float:
    cells = line.split()
    value = number(cells[1]) if len(cells) > 1 else None
    if value is None:
        raise DataError(
            "A line of MLflow's metrics must be time, value and step",
            found=f"{path}: {line[:60]!r}",
            do="remove the line",
        )
    return value
