"""The class list that lies in a set's folder, in whatever form, as a label map."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError
from ablata.data.labels.map import HIGHEST_ID, MAP_FILE, Label, LabelMap, read_label_map
from ablata.data.labels.table import Form, LabelTable, read_table

VOID_NAMES = frozenset({"unlabelled", "unlabeled", "void", "ignore", "ignored", "unknown", "don't care"})
"""Classes of these names, in any case, are ignored where a list cannot say so itself."""
_FILES = (MAP_FILE, "classes.txt", "classes.json")
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


def read_list(file: Path) -> LabelMap:
    """Read a label map (.yaml), a class list (`ID NAME` or `#RRGGBB NAME` a line), or a JSON of names and colours.

    Raises:
        DataError: the file is missing or not of its form.
    """
    if file.suffix in (".yaml", ".yml"):
        return read_label_map(file)
    if file.suffix == ".json":
        rows = list(_json_rows(file))
        return numbered("colors", ((value, name, _is_void(name), "") for value, name in rows), str(file))
    table = read_table(file, ())
    pairs = zip(table.values, table.names, strict=True)
    return numbered(table.form, ((value, name, _is_void(name), "") for value, name in pairs), str(file))


def map_of(table: LabelTable, source: str) -> LabelMap:
    """Return the map of a table; what it ignores has no name there."""
    rows = [(value, name, False, "") for value, name in zip(table.values, table.names, strict=False)]
    return numbered(table.form, rows + [(value, "ignored", True, "") for value in table.ignored], source)


def find_list(root: Path) -> Path | None:
    """Return the class list in a folder: label_map.yaml, else classes.txt, else classes.json; None if there is none."""
    return next((root / name for name in _FILES if (root / name).is_file()), None)


def _is_void(name: str) -> bool:
    return name.casefold() in VOID_NAMES


def _json_rows(file: Path) -> Iterator[tuple[int, str]]:
    """Yield colour and name: {"classes": [{"title": NAME, "color": "#RRGGBB"}]} or {NAME: "#RRGGBB" or [r, g, b]}."""
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("The class list must be JSON", found=f"{file}: {error}") from None
    listed = tree.get("classes", tree) if isinstance(tree, dict) else tree
    rows: list[tuple[Any, Any]] = []
    if isinstance(listed, dict):
        rows = list(listed.items())
    elif isinstance(listed, list):
        rows = [(_first(row, "title", "name", "label"), _first(row, "color", "color", "rgb")) for row in listed]
    for name, color in rows:
        if isinstance(color, list) and len(color) == 3 and all(isinstance(part, int) for part in color):
            color = "#{:02X}{:02X}{:02X}".format(*color)
        if not isinstance(name, str) or not isinstance(color, str) or not _HEX.fullmatch(color):
            raise DataError("A class list in JSON must give each name a colour", found=f"{file}: {name}: {color}",
                            do="write a label map instead: ablata data check FOLDER --propose-map FILE")  # fmt: skip
        yield int(color[1:], 16), name


def _first(row: object, *keys: str) -> object:
    return next((row[key] for key in keys if key in row), None) if isinstance(row, dict) else None
