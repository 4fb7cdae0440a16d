"""Tables of text: CSV, TSV and other separators, JSON lists and JSON lines, as one dictionary a line."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError
from ablata.base.json_text import RepeatedKeyError, parse_json

_DECIMAL_COMMA = re.compile(r"^([-+]?\d+),(\d+\s*%?)$")
_THOUSANDS = re.compile(r"^[-+]?[1-9]\d{0,2},\d{3}$")
_ARCHIVES = {
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
}
_RULE = re.compile(r"^[\s|:+-]+$")
MOST_BYTES = 256 * 2**20
Row = dict[str, str]


def read_text(path: Path) -> str:
    """Return a file's text: UTF-8 with or without byte order mark, or UTF-16.

    Raises:
        DataError: it is no text, or larger than 256 MiB.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(
            "A file of results must have at most 256 MiB",
            found=f"{path}: {size / 2**20:.0f} MiB",
            do="keep the rows of the scores that are judged",
        )
    raw = path.read_bytes()
    for magic, what in _ARCHIVES.items():
        if raw.startswith(magic):
            raise DataError(
                "A file of results must be text", found=f"{path}: {what}", do="unpack it, or save it as CSV"
            )
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            "A file of results must be text in UTF-8", found=f"{path}: {error.reason}", do="save it as UTF-8"
        ) from None
    if "\0" in text:
        raise DataError(
            "A file of results must be text", found=f"{path}: it holds zero bytes", do="save it as CSV or JSON"
        )
    return text


def read_table(path: Path) -> list[Row]:
    """Return the rows of a table as dictionaries of texts, empty cells left out.

    JSON: a list of objects, an object of equally long lists, or one object a line. All else is a table with separators.

    Raises:
        DataError: the file cannot be read as a table.
    """
    text = read_text(path)
    if not text.strip():
        raise DataError(
            "A table must have a line of names and rows below it",
            found=f"{path}: an empty file",
            do="write a header and a row for each run",
        )
    start = text.lstrip()[:1]
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson") or start in ("{", "["):
        return [_texts(row) for row in read_json_rows(text, path)]
    return _separated(text, path)


def read_json_rows(text: str, path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a JSON document or of JSON lines.

    Raises:
        DataError: it is neither, or an object holds a key twice; a last line that is cut off, as of a run that was
            killed, is left out.
    """
    try:
        document = parse_json(text)
    except RepeatedKeyError as error:
        raise _repeated(error, str(path)) from None
    except ValueError:
        return _json_lines(text, path)
    except RecursionError:
        raise DataError(
            "A JSON file of results must not be nested deeply",
            found=str(path),
            do="write a list of flat objects, one a run",
        ) from None
    if isinstance(document, dict):
        columns = {key: value for key, value in document.items() if isinstance(value, list)}
        if columns and len(columns) == len(document) and len({len(value) for value in columns.values()}) == 1:
            return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [document]
    if isinstance(document, list) and all(isinstance(row, dict) for row in document):
        return document
    raise DataError(
        "A JSON file of results must hold objects",
        found=f"{path}: {str(text).strip()[:40]}",
        do="write a list of objects, one a run",
    )


def _json_lines(text: str, path: Path) -> list[Mapping[str, Any]]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows: list[Mapping[str, Any]] = []
    for place, (number, line) in enumerate(lines):
        try:
            row = parse_json(line)
        except RepeatedKeyError as error:
            raise _repeated(error, f"{path}, line {number}") from None
        except (ValueError, RecursionError) as error:
            if rows and place == len(lines) - 1:
                break
            found = f"{path}, line {number}: {error.msg if isinstance(error, json.JSONDecodeError) else error}"
            raise DataError(
                "A JSON file must be one document, or one object a line",
                found=found,
                do="one object a line, or one list of objects",
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                "Each line of a JSON file must be an object",
                found=f"{path}, line {number}: {line[:40]}",
                do='write {"arm": ..., "seed": ..., "accuracy": ...}',
            )
        rows.append(row)
    return rows


def _repeated(error: RepeatedKeyError, where: str) -> DataError:
    return DataError(
        "An object of a JSON file must hold every key once", found=f"{where}: {error}", do="leave one of its values"
    )


def flatten(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the leaves of nested dictionaries by dotted keys."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{above}{key}"
        leaves |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return leaves


def number(text: object) -> float | None:
    """Return a cell as a number, a percent sign left out; None where it is none."""
    if isinstance(text, bool):
        return None
    try:
        if isinstance(text, int | float):
            return float(text)
        return float(str(text).strip().removesuffix("%").strip().replace("−", "-"))
    except (ValueError, OverflowError):
        return None


def finite_numbers(cells: Mapping[str, object]) -> dict[str, float]:
    """Return the cells that are finite numbers, names without the spaces around them."""
    values = {name.strip(): number(cell) for name, cell in cells.items()}
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def refuse_mixed_percent(cells: Iterable[tuple[int, object]], name: str, source: str) -> None:
    """Refuse a column of percentages with numbers up to 1 among them, which are shares of 1.

    Args:
        cells: number of each row and its cell.
        name: of the column.
        source: what they come from, for messages.

    Raises:
        DataError: names a row of either kind.
    """
    first: dict[str, tuple[int, str]] = {}
    for row, cell in cells:
        value, text = number(cell), str(cell).strip()
        if text.endswith("%"):
            first.setdefault("percent", (row, text))
        elif value is not None and abs(value) <= 1:
            first.setdefault("share", (row, text))
    if len(first) == 2:
        found = " and ".join(f"row {row}: {text}" for row, text in sorted(first.values()))
        raise DataError(
            "The numbers of a column must be of one unit",
            found=f"{source}, column {name}, {found}",
            do="write all of them as percentages, or none",
        )


def _texts(row: Mapping[str, Any]) -> Row:
    return {key.strip(): str(value) for key, value in flatten(row).items() if value is not None and value != ""}


def _separated(text: str, path: Path) -> list[Row]:
    # Lines may end as on old machines: with a carriage return alone.
    text = _plain_marks(text.replace("\r\n", "\n").replace("\r", "\n"))
    head = "\n".join(text.splitlines()[:20])
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(head)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise DataError(
            "A table must be readable as CSV", found=f"{path}: {error}", do="save it again as CSV in UTF-8"
        ) from None
    filled = [(number_, row) for number_, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    names = [name.strip() for name in filled[0][1]]
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise DataError(
            "A table's columns must have different names", found=f"{path}: {twice!r} comes twice", do="rename one"
        )
    if figures := [name for name in named if "." in name and number(name) is not None]:
        raise DataError(
            "A table's first line must hold the names of its columns",
            found=f"{path}: {figures[0]} in the first line",
            do="add a line such as arm,seed,accuracy",
        )
    if len(filled) < 2:
        raise DataError(
            "A table must have rows below its line of names",
            found=f"{path}: {', '.join(names)[:80]}",
            do="add a row for each run",
        )
    for number_, row in filled[1:]:
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            found = f"{path}, line {number_}: {len(row)} cells, {len(names)} name{'s' * (len(names) > 1)}"
            raise DataError(
                "A table's rows must have no more cells than it has names",
                found=found,
                do="put a value with a comma in quotation marks; or is its first line not the line of names? it reads: "
                + ", ".join(named)[:60],
            )
    rows_ = [_cells(names, row) for _, row in filled[1:]]
    if delimiter == ",":
        return rows_
    for name in named:
        _refuse_thousands([row.get(name, "") for row in rows_], name, delimiter, path)
    # Where cells end otherwise, a comma is the decimal sign of many countries.
    return [{name: _DECIMAL_COMMA.sub(r"\1.\2", cell) for name, cell in row.items()} for row in rows_]


def _refuse_thousands(cells: Sequence[str], name: str, delimiter: str, path: Path) -> None:
    """Refuse a column whose commas may be decimal signs or stand between thousands; semicolons tell the former."""
    marked = [cell for cell in cells if "," in cell]
    whole = any(cell.isdecimal() for cell in cells)
    if marked and all(map(_THOUSANDS.match, marked)) and (whole or delimiter != ";"):
        raise DataError(
            "Numbers must be written without commas between thousands",
            found=f"{path}, column {name}: {marked[0]}, which may be {marked[0].replace(',', '.')} or "
            f"{marked[0].replace(',', '')}",
            do="write the one that is meant",
        )


def _plain_marks(text: str) -> str:
    """Return a table without the bars and the rule of Markdown, and with tabs where only spaces tell cells apart."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and all(line.startswith("|") and line.endswith("|") for line in lines):
        return "\n".join(line[1:-1] for line in lines if not _RULE.match(line))
    counts = {len(line.split()) for line in lines}
    if not any(mark in line for mark in ',;\t|"' for line in lines) and len(counts) == 1 and counts != {1}:
        return "\n".join("\t".join(line.split()) for line in lines)
    return text


def _cells(names: list[str], row: Iterable[str]) -> Row:
    """Return the cells by name; those without a name, as of a data frame's index, are left out."""
    return {name: cell.strip() for name, cell in zip(names, row, strict=False) if name and cell.strip()}


def _delimiter(head: str) -> str:
    """Return the separator that splits the first lines into the most cells, the same number in each if possible."""
    lines = [line for line in head.splitlines() if line.strip()]

    def rating(mark: str) -> tuple[bool, int]:
        counts = [line.count(mark) for line in lines]
        return min(counts) == max(counts) and counts[0] > 0, counts[0]

    return max(",;\t|", key=rating)
