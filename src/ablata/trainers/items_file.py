"""Items file: what a program says of single items, a CSV table it leaves in the run's folder.

    item,group,acc
    clip1/001.png,clip1,100
    clip1/002.png,clip1,0

`item` names each item once, the same in every run. `group` says which belong together; it may be left out. Every other
column is a score by its name: its mean over the items is that score of the run, in the same unit. A column of another
name, such as a loss or a margin, is a finer score beside. JSON holds the same as a list of objects, or an object of
columns.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import DataError
from ablata.base.json_text import parse_json
from ablata.records.run_folder.items import ItemScores

ITEM_FILES = ("items.csv", "items.json")
"""Names that are looked for in a run's folder, in this order."""
MOST_BYTES = 256 << 20
_KNOWN = ("item", "group")


def find_items_file(folder: Path) -> Path | None:
    """Return the items file of a run's folder; None where the program left none."""
    return next((folder / name for name in ITEM_FILES if (folder / name).is_file()), None)


def read_items_file(path: Path) -> ItemScores:
    """Read an items file.

    Raises:
        DataError: it is no such table; the message names line, column and value.
    """
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            "An items file must be small",
            found=f"{path}: {path.stat().st_size:,} bytes",
            do="write a row for each item of the test set, and no more columns than needed",
        )
    try:
        rows = _json_rows(path) if path.suffix == ".json" else _csv_rows(path)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            "An items file must be a table",
            found=f"{path}: {error}",
            do="write it as CSV: a header line, then a row an item",
        ) from None
    if not rows or "item" not in rows[0]:
        told = ", ".join(rows[0]) if rows else "no row"
        raise DataError("An items file must name each item", found=f"{path}: {told}", do="item,acc as the first line")
    names = [name for name in rows[0] if name not in _KNOWN]
    if not names:
        raise DataError(
            "An items file must have a column of scores",
            found=f"{path}: {', '.join(rows[0])}",
            do="write the columns item and score",
        )
    columns = {name: np.array([_number(path, row, name, line) for line, row in enumerate(rows, 2)]) for name in names}
    groups = tuple(str(row["group"]) for row in rows) if "group" in rows[0] else None
    order = sorted(range(len(rows)), key=lambda row: str(rows[row]["item"]))
    try:
        return ItemScores(
            "", "", tuple(str(rows[row]["item"]) for row in order),
            {name: values[order] for name, values in columns.items()},
            None if groups is None else tuple(groups[row] for row in order),
        )  # fmt: skip
    except ValueError as error:
        raise DataError(
            "An items file must name each item once, with a number",
            found=f"{path}: {error}",
            do="write the columns item and score, a row for each item",
        ) from None


def _csv_rows(path: Path) -> list[Mapping[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        rows: list[Mapping[str, Any]] = [dict(row) for row in reader]
    short = next((line for line, row in enumerate(rows, 2) if None in row or None in row.values()), None)
    if short is not None:
        raise ValueError(f"line {short} has another number of columns than the first")
    return rows


def _json_rows(path: Path) -> list[Mapping[str, Any]]:
    content = parse_json(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        columns: dict[str, Sequence[Any]] = content
        if not all(isinstance(values, list) for values in columns.values()):
            raise ValueError("an object must hold a list for every column")
        if len({len(values) for values in columns.values()}) != 1:
            raise ValueError("columns of different lengths")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise ValueError("it is neither a list of objects nor an object of lists")
    short = next((place for place, row in enumerate(content) if row.keys() != content[0].keys()), None)
    if short is not None:
        raise ValueError(f"object {short} has other keys than the first")
    return content


def _number(path: Path, row: Mapping[str, Any], name: str, line: int) -> float:
    try:
        number = float(row[name])
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(
            "Scores of items must be numbers",
            found=f"{path}, line {line}, column {name}: {row[name]!r}",
            do="write a number, or leave the item out",
        )
    return number
