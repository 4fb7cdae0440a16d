"""Runs from whatever holds them: a table, the CSV of a chart, MLflow's database, a folder of runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablata.base.errors import DataError
from ablata.trainers.given import GivenRuns
from ablata.trainers.readers import mlflow, wandb
from ablata.trainers.readers.curves import Take
from ablata.trainers.readers.tables import Row, read_table
from ablata.trainers.readers.tensorboard import is_event_file
from ablata.trainers.run_folders import read_run_folders
from ablata.trainers.score_table import runs_of_rows
from ablata.trainers.tracked import NAME, given_of_tracked


def read_given(
    path: Path,
    *,
    score: str | None = None,
    arm_from: str | None = None,
    seed_from: str | None = None,
    take: Take = "last",
    table: list[Row] | None = None,
) -> GivenRuns:
    """Read runs that exist.

    Args:
        path: a file or a folder.
        score: the score's column, or its name in the logs; None to take the only one there is.
        arm_from: of a table the column that names the arm; else a setting, or `folder`. None to guess.
        seed_from: of a table the column of the seed; None to guess.
        take: which value of a curve counts.
        table: the rows of a file that has been read as a table; None: it has not.

    Raises:
        DataError: there is nothing, it cannot be read, or something cannot be guessed.
    """
    if path.is_dir():
        return read_run_folders(path, score=score, arm_from=arm_from or NAME, take=take)
    if not path.is_file():
        raise DataError(
            "Scores must lie in a file or a folder",
            found=f"{path}, neither" if path.exists() else f"no {path}",
            do="mend the path",
        )
    if is_event_file(path.name) or path.suffix == wandb.SUFFIX:
        raise DataError(
            "A file of one run is nothing to compare",
            found=str(path),
            do="give the folder that holds the folders of all runs",
        )
    if mlflow.is_database(path):
        runs = mlflow.read_database(path, take)
        return given_of_tracked(runs, path.stem, score=score, arm_from=arm_from or NAME)
    rows = read_table(path) if table is None else table
    if wandb.is_chart(list(dict.fromkeys(name for row in rows for name in row))):
        charted = wandb.read_chart(rows, path, take)
        return given_of_tracked(charted, path.stem, score=score, arm_from=arm_from or NAME)
    given = runs_of_rows(rows, path.name, score=score, arm=arm_from, seed=seed_from, take=take)
    return replace(given, oldest=path.stat().st_mtime)
