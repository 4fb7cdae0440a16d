"""Runs from a table with a line each: which column names the arm, which the seed, which the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError, choices, listing
from ablata.trainers.given import GivenRun, GivenRuns, choose_score
from ablata.trainers.readers.tables import finite_numbers, number, read_table

_ARMS = ("arm", "variant", "config", "setting", "experiment", "condition", "method", "model", "name", "group", "run")
_SEEDS = ("seed", "random_seed", "rng_seed", "manual_seed")
_SCORES = ("score", "metric", "value", "result")


def read_score_table(
    path: Path, *, score: str | None = None, arm: str | None = None, seed: str | None = None
) -> GivenRuns:
    """Read a table of runs.

    Args:
        path: CSV, TSV or JSON, a line a run.
        score, arm, seed: names of columns; None to guess, which the notes then say. Without a column of seeds they
            are not known.

    Raises:
        DataError: the file is no table, a column is missing or cannot be guessed, or a run has no score.
    """
    return runs_of_rows(read_table(path), path.name, score=score, arm=arm, seed=seed)


def runs_of_rows(
    rows: Sequence[Mapping[str, Any]],
    source: str,
    *,
    score: str | None = None,
    arm: str | None = None,
    seed: str | None = None,
) -> GivenRuns:
    """Return the runs of rows, each with an arm, a score and perhaps a seed.

    Args:
        rows: name and value of each cell; missing cells are left out or None.
        source: what they come from, for messages.
        score, arm, seed: as for `read_score_table`.

    Raises:
        DataError: as for `read_score_table`.
    """
    rows = [{str(name): cell for name, cell in row.items() if cell is not None} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    notes: list[str] = []
    arm_column = _arm_column(source, rows, names, arm, notes)
    seed_column = _column(source, names, seed, "seed") if seed else _known(names, _SEEDS)
    if seed_column and seed is None:
        notes.append(f"seeds are read from the column {seed_column}")
    runs = []
    kept = [name for name in names if name not in (arm_column, seed_column)]
    for number_, row in enumerate(rows, 1):
        place = f"{source}, row {number_}"
        if arm_column not in row:
            raise DataError(f"Every row must say its arm in the column {arm_column}", found=f"{place}: an empty cell")
        cells = {name: row[name] for name in kept if name in row}
        known = _seed(row, seed_column, place)
        runs.append(GivenRun(arm=str(row[arm_column]), seed=known, scores=finite_numbers(cells), source=place))
    chosen = score if score is not None else next((name for name in kept if name.lower() in _SCORES), None)
    name, guessed = choose_score(runs, chosen)
    if score is None and not guessed:
        guessed = (f"the score is read from the column {name}",)
    for number_, (run, row) in enumerate(zip(runs, rows, strict=True), 1):
        if name not in run.scores:
            raise DataError(
                f"Every row must have a number in the column {name}",
                found=f"{source}, row {number_}: {row.get(name, 'an empty cell')}",
                do="leave out runs without a score; a run that diverged has none",
            )
    return GivenRuns(runs=tuple(runs), score=name, notes=(*notes, *guessed))


def _arm_column(
    source: str, rows: Sequence[Mapping[str, Any]], names: list[str], wanted: str | None, notes: list[str]
) -> str:
    if wanted is not None:
        return _column(source, names, wanted, "arm")
    known = _known(names, _ARMS)
    if known is None:
        words = [name for name in names if any(number(row.get(name, "")) is None for row in rows)]
        if len(words) != 1:
            raise DataError(
                "A table of runs must say which column names the arm",
                found=f"{source}: columns {listing(names[:12])}",
                do="--arm-from COLUMN",
            )
        known = words[0]
    notes.append(f"arms are read from the column {known}")
    return known


def _column(source: str, names: list[str], wanted: str, kind: str) -> str:
    for name in names:
        if name == wanted or name.lower() == wanted.lower():
            return name
    raise DataError(
        f"The column of the {kind} must be one of {choices(names, wanted)}", found=f"{source}: no {wanted!r}"
    )


def _known(names: Sequence[str], words: Sequence[str]) -> str | None:
    folded = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    return next((folded[word] for word in words if word in folded), None)


def _seed(row: Mapping[str, Any], column: str | None, source: str) -> int | None:
    if column is None or column not in row:
        return None
    value = number(row[column])
    if value is None or value != int(value):
        raise DataError("A seed must be a whole number", found=f"{source}: {column} {row[column]!r}")
    return int(value)
