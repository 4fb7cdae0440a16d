"""Runs from a table with a line each: which column names the arm, which the seed, which the score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ablata.base.errors import DataError, choices, listing, suggestion
from ablata.trainers.given import GivenRun, GivenRuns, choose_score
from ablata.trainers.readers.curves import Take
from ablata.trainers.readers.settings import SEED_COLUMNS, seed_of, without_seed
from ablata.trainers.readers.tables import finite_numbers, number, refuse_mixed_percent

_ARMS = ("arm", "variant", "config", "setting", "experiment", "condition", "method", "model", "name", "group", "run")
_STEPS = ("epoch", "step", "global_step", "iteration", "iter")
_LARGEST_SEED = 2**53
_SCORES = ("score", "metric", "value", "result")


def runs_of_rows(
    rows: Sequence[Mapping[str, Any]],
    source: str,
    *,
    score: str | None = None,
    arm: str | None = None,
    seed: str | None = None,
    take: Take = "last",
) -> GivenRuns:
    """Return the runs of rows, each with an arm, a score and perhaps a seed.

    Args:
        rows: name and value of each cell; missing cells are left out or None.
        source: what they come from, for messages.
        score, arm, seed: names of columns; None to guess, which the notes then say. Without a column of seeds they
            are not known.
        take: where a table has a line an epoch, which value of a run counts.

    Raises:
        DataError: a column is missing or cannot be guessed, or a run has no score.
    """
    rows = [{str(name): cell for name, cell in row.items() if cell is not None} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    notes: list[str] = []
    arm_column = _arm_column(source, rows, names, arm, notes)
    seed_column = _column(source, names, seed, "seed") if seed else _known(names, SEED_COLUMNS)
    if seed_column and seed is None:
        notes.append(f"seeds are read from the column {seed_column}")
    runs = []
    kept = [name for name in names if name not in (arm_column, seed_column)]
    for number_, row in enumerate(rows, 1):
        place = f"{source}, row {number_}"
        if arm_column not in row:
            raise DataError(
                f"Every row must say its arm in the column {arm_column}",
                found=f"{place}: an empty cell",
                do="fill the cell",
            )
        cells = {name: row[name] for name in kept if name in row}
        known = _seed(row, seed_column, place)
        runs.append(GivenRun(arm=str(row[arm_column]), seed=known, scores=finite_numbers(cells), source=place))
    if seed_column is None:
        runs = _seeds_of_names(runs, notes)
    _refuse_no_numbers(rows, runs, kept, source)
    chosen = score if score is not None else next((name for name in kept if name.lower() in _SCORES), None)
    name, guessed = choose_score(runs, chosen)
    if score is None and not guessed:
        guessed = (f"the score is read from the column {name}",)
    refuse_mixed_percent(((place, row.get(name)) for place, row in enumerate(rows, 1)), name, source)
    runs = _last_points(runs, name, _known(kept, _STEPS), take, notes)
    for run in runs:
        if name not in run.scores:
            row = rows[int(run.source.rpartition(" ")[2]) - 1]
            raise DataError(
                f"Every row must have a number in the column {name}",
                found=f"{run.source}: {row.get(name, 'an empty cell')}",
                do="leave out runs without a score; a run that diverged has none",
            )
    folded = {arm.lower(): arm for arm in dict.fromkeys(run.arm for run in runs)}
    notes += [
        f"{arm_} and {folded[arm_.lower()]} are two arms, though their names differ in case alone"
        for arm_ in dict.fromkeys(run.arm for run in runs)
        if folded[arm_.lower()] != arm_
    ]
    return GivenRuns(runs=tuple(_without_repeats(runs, name, notes)), score=name, notes=(*notes, *guessed))


def has_arms_and_seeds(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether columns of a table have usual names of an arm and of a seed: a line is a run of an arm."""
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return _known(names, _ARMS) is not None and _known(names, SEED_COLUMNS) is not None


def _refuse_no_numbers(
    rows: Sequence[Mapping[str, Any]], runs: Sequence[GivenRun], names: Sequence[str], source: str
) -> None:
    """Refuse a table without a number that could be a score, and show what stands there instead."""
    name, cell = next(((name, row[name]) for name in names for row in rows if name in row), ("", ""))
    if not name or any(run.scores for run in runs):
        return
    raise DataError(
        "A column of numbers must hold the score",
        found=f"{source}: no column of numbers; {name} is {str(cell)[:40]!r}",
        do="write it as a number alone, such as 0.91 or 91%: without units, errors or commas",
    )


def _seeds_of_names(runs: list[GivenRun], notes: list[str]) -> list[GivenRun]:
    """Read seeds from the arms' names, `wide_s1` as seed 1 of `wide`, where that makes fewer arms."""
    named = [(without_seed(run.arm), seed_of({}, (run.arm,))) for run in runs]
    if any(seed is None or not arm for arm, seed in named) or len({arm for arm, _ in named}) == len(
        {run.arm for run in runs}
    ):
        return runs
    notes.append("seeds are read from the arms' names")
    return [replace(run, arm=arm, seed=seed) for run, (arm, seed) in zip(runs, named, strict=True)]


def _last_points(runs: list[GivenRun], name: str, step: str | None, take: Take, notes: list[str]) -> list[GivenRun]:
    """Return one run for each arm and seed of a table that has a line an epoch; of its curve one value counts.

    Raises:
        DataError: several runs of one arm cannot be told apart.
    """
    groups: dict[tuple[str, int | None], list[GivenRun]] = {}
    for run in runs:
        groups.setdefault((run.arm, run.seed), []).append(run)
    if step is None or all(len(group) == 1 for group in groups.values()):
        return runs
    merged = []
    for (arm, seed), group in groups.items():
        steps = [run.scores.get(step) for run in group]
        if len(set(steps)) < len(steps):
            raise DataError(
                "Runs of a table with a line an epoch must be told apart by their seeds",
                found=f"{arm}, seed {seed}: {step} {steps[0]:g} comes more than once" if steps[0] is not None else arm,
                do="--seed-from COLUMN",
            )
        points = [run for run in sorted(group, key=lambda run: run.scores.get(step, 0.0)) if name in run.scores]
        choose = {"last": lambda found: found[-1], "max": _by(max, name), "min": _by(min, name)}[take]
        merged.append(choose(points) if points else group[-1])
    notes.append(f"the table has a line for each {step}: of each run the {take} value counts")
    return merged


def _by(pick: Callable[..., GivenRun], name: str) -> Callable[[list[GivenRun]], GivenRun]:
    return lambda found: pick(found, key=lambda run: run.scores[name])


def _without_repeats(runs: list[GivenRun], name: str, notes: list[str]) -> list[GivenRun]:
    """Leave out a row that repeats another: the same arm, seed and score."""
    kept: dict[tuple[str, int, float], GivenRun] = {}
    found = []
    for run in runs:
        key = None if run.seed is None else (run.arm, run.seed, run.scores[name])
        if key is not None and key in kept:
            notes.append(f"{run.source} repeats {kept[key].source.rpartition(', ')[2]} and is counted once")
            continue
        if key is not None:
            kept[key] = run
        found.append(run)
    return found


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
                do="--arm-from COLUMN; a table with a column an arm must be written with a line a run: arm, score",
            )
        known = words[0]
    notes.append(f"arms are read from the column {known}")
    return known


def _column(source: str, names: list[str], wanted: str, kind: str) -> str:
    for name in names:
        if name == wanted or name.lower() == wanted.lower():
            return name
    raise DataError(
        f"The column of the {kind} must be one of {choices(names, wanted)}",
        found=f"{source}: no {wanted!r}",
        do=suggestion(wanted, names),
    )


def _known(names: Sequence[str], words: Sequence[str]) -> str | None:
    folded = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    return next((folded[word] for word in words if word in folded), None)


def _seed(row: Mapping[str, Any], column: str | None, source: str) -> int | None:
    if column is None or column not in row:
        return None
    value = number(row[column])
    if value is None or not abs(value) < _LARGEST_SEED or value != int(value):
        raise DataError(
            f"A seed must be a whole number below {_LARGEST_SEED:.0e}",
            found=f"{source}: {column} {row[column]!r}",
            do="number the runs of an arm 0, 1, 2 ...",
        )
    return int(value)
