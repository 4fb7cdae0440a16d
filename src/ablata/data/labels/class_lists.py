"""The class list that lies in a set's folder, in whatever form, as a label map."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError, listing
from ablata.base.files import read_text
from ablata.base.json_text import parse_json
from ablata.data.labels.map import HIGHEST_ID, MAP_FILE, Label, LabelMap, read_label_map
from ablata.data.labels.split_lists import column, read_table
from ablata.data.labels.table import VOID_NAMES, Form, LabelTable, read_class_lines

_EXPORTS = {
    "labelmap.txt": re.compile(r"(?P<name>[^:]+):\s*(?P<r>\d+)\s*,\s*(?P<g>\d+)\s*,\s*(?P<b>\d+)\s*(?::.*)?"),
    "label_colors.txt": re.compile(r"(?P<r>\d+)[\s,]+(?P<g>\d+)[\s,]+(?P<b>\d+)[\s,]+(?P<name>\S.*)"),
}
"""Lists of colours that annotation tools export: CVAT's and VOC's `NAME:R,G,B:PARTS:ACTIONS`, CamVid's `R G B NAME`."""
_TABLES = ("class_dict.csv", "_classes.csv", "train/_classes.csv", "valid/_classes.csv")
"""Tables of classes: `name,r,g,b`, or Roboflow's `Pixel Value, Class`."""
_FILES = (MAP_FILE, "classes.txt", "classes.json", *_EXPORTS, *_TABLES)
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def numbered(form: Form, rows: Iterable[tuple[int, str, bool, str]], source: str) -> LabelMap:
    """Return a map with ids: classes 0, 1, 2 ... in their order; ignored values 255, 254 and so on, each its own, so
    that the way back is exact.

    Args:
        form: what the values are.
        rows: value, name, whether it is ignored, remark.
        source: the file, for messages.
    """
    labels, kept, ignored = [], 0, HIGHEST_ID
    for value, name, ignore, remark in rows:
        labels.append(Label(value, ignored if ignore else kept, name, ignore, remark=remark))
        kept, ignored = kept + (not ignore), ignored - ignore
    return LabelMap(form, tuple(labels), source)


def read_list(file: Path, ignored: Collection[str] = ()) -> LabelMap:
    """Read a label map (.yaml), a class list (`ID NAME` or `#RRGGBB NAME` a line, or names alone), a JSON of names and
    colours, or the list of a CVAT or CamVid export (labelmap.txt, label_colors.txt).

    Args:
        file: the list.
        ignored: names (in any case) whose pixels are ignored, beside those of `VOID_NAMES`; a label map says so itself.

    Raises:
        DataError: the file is missing or not of its form, or a name in `ignored` is not in it.
    """
    if file.suffix.lower() in (".yaml", ".yml"):
        if ignored:
            raise DataError(
                "data.ignored works with class lists, not with label maps",
                found=f"data.ignored beside {file}",
                do="write `ignore: true` in the label map",
            )
        return read_label_map(file)
    form, rows = _rows(file)
    names = [name for _, name in rows]
    folded = {name.casefold() for name in ignored}
    if missing := folded - {name.casefold() for name in names}:
        raise DataError("data.ignored must name classes of the list",
                        found=f"{listing(sorted(missing))}; {file} has {listing(names)}",
                        do="correct data.ignored, or the list")  # fmt: skip
    void = VOID_NAMES | folded
    return numbered(form, ((value, name, name.casefold() in void, "") for value, name in rows), str(file))


def _rows(file: Path) -> tuple[Form, list[tuple[int, str]]]:
    """Return what the values of a list are, and value and name of each class."""
    if file.suffix.lower() == ".json":
        return "colors", list(_json_rows(file))
    if file.suffix.lower() == ".csv":
        return _table_rows(file)
    if file.name in _EXPORTS:
        try:
            lines = [line.strip() for line in read_text(file).splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError("The class list must be a text file", found=f"{file}: {error}",
                            do="save it as UTF-8") from None  # fmt: skip
        matches = [_EXPORTS[file.name].fullmatch(line) for line in lines if line and line[0] != "#"]
        if matches and all(matches):
            return "colors", [(_color(match), match["name"].strip()) for match in matches if match]
    form, values, names = read_class_lines(file)
    return form, list(zip(values, names, strict=True))


def _table_rows(file: Path) -> tuple[Form, list[tuple[int, str]]]:
    """Return what the values of a table are, and value and name of each class."""
    rows = read_table(file)
    head = set(rows[0]) if rows else set()
    name = column(head, ("name", "class", "label", "class_name"))
    value = column(head, ("pixel value", "value", "id", "index"))
    channels = next((one for one in (("r", "g", "b"), ("red", "green", "blue")) if set(one) <= head), None)
    if name is None or (value is None and channels is None):
        raise DataError("A table of classes must have a column of names, and r, g, b or a value",
                        found=f"{file}: {listing(sorted(head))}",
                        do="call the columns name,r,g,b or name,value")  # fmt: skip
    found = []
    for number, row in enumerate(rows, start=2):
        cells = [row.get(one, "") for one in (channels or (value or "",))]
        if not row.get(name) or not all(cell.isdecimal() and len(cell) < 6 and int(cell) < 65536 for cell in cells):
            raise DataError(
                "A line must have a name and whole numbers",
                found=f"{file}, line {number}: {listing(cells)}",
                do="correct the line, or remove it",
            )
        numbers = list(map(int, cells))
        if channels and max(numbers) > 255:
            raise DataError(
                "A colour must be three numbers up to 255",
                found=f"{file}, line {number}: {listing(cells)}",
                do="correct the line",
            )
        raw = numbers[0] << 16 | numbers[1] << 8 | numbers[2] if channels else numbers[0]
        found.append((raw, row[name]))
    return ("colors" if channels else "ids"), found


def _color(match: re.Match[str]) -> int:
    red, green, blue = (int(match[channel]) for channel in "rgb")
    if max(red, green, blue) > 255:
        raise DataError("A colour must be three numbers up to 255", found=match[0], do="correct the line")
    return red << 16 | green << 8 | blue


def map_of(table: LabelTable, source: str) -> LabelMap:
    """Return the map of a table; what it ignores has no name there."""
    rows = [(value, name, False, "") for value, name in zip(table.values, table.names, strict=False)]
    return numbered(table.form, rows + [(value, "ignored", True, "") for value in table.ignored], source)


def find_list(root: Path) -> Path | None:
    """Return the class list in a folder: label_map.yaml, classes.txt, classes.json, or what tools export; else None."""
    return next((root / name for name in _FILES if (root / name).is_file()), None)


def _json_rows(file: Path) -> Iterator[tuple[int, str]]:
    """Yield colour and name: {"classes": [{"title": NAME, "color": "#RRGGBB"}]} or {NAME: "#RRGGBB" or [r, g, b]}."""
    try:
        tree = parse_json(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            "The class list must be JSON",
            found=f"{file}: {error}",
            do="correct the file, or write a label map: ablata data check FOLDER --propose-map FILE",
        ) from None
    listed = tree.get("classes", tree) if isinstance(tree, dict) else tree
    rows: list[tuple[Any, Any]] = []
    if isinstance(listed, dict):
        rows = list(listed.items())
    elif isinstance(listed, list):
        rows = [(_first(row, "title", "name", "label"), _first(row, "color", "colour", "rgb")) for row in listed]
    for name, color in rows:
        if isinstance(color, list) and len(color) == 3 and all(part in range(256) for part in color):
            color = "#{:02X}{:02X}{:02X}".format(*color)
        if not isinstance(name, str) or not isinstance(color, str) or not _HEX.fullmatch(color):
            raise DataError("A class list in JSON must give each name a colour", found=f"{file}: {name}: {color}",
                            do="write a label map instead: ablata data check FOLDER --propose-map FILE")  # fmt: skip
        yield int(color[1:], 16), name


def _first(row: object, *keys: str) -> object:
    return next((row[key] for key in keys if key in row), None) if isinstance(row, dict) else None
