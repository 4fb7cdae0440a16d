"""Lists that say which image is in which split: ImageSets/Segmentation/train.txt, as VOC and CVAT have it, or a CSV
with a column for the split."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from ablata.base.errors import DataError, listing
from ablata.base.files import read_text
from ablata.data.io.decode import IMAGE_SUFFIXES

LIST_FOLDERS = ("ImageSets/Segmentation", "ImageSets/Main", "ImageSets", "splits", ".")
"""Where lists are looked for; the first folder that holds one counts."""
FILE_COLUMNS = ("file", "filename", "file_name", "image", "image_name", "img", "path", "image_path", "filepath", "name",
                "image_id", "id")  # fmt: skip
"""Names of the column that names files in a table, the surest first."""
SPLIT_COLUMNS = ("split", "subset", "set", "partition", "dataset", "usage")
"""Names of the column that names splits."""
_TRAIN_VAL = re.compile(r"train_?val(\d{4})?", re.IGNORECASE)
_FEW = 3
_SPLIT = re.compile(r"(train|val|test)(?:ing|id|idation)?(?:\d{4})?")


def split_name(folder: str) -> str:
    """Return train, val or test for names like `training` or `val2017`; nothing for others."""
    match = _SPLIT.fullmatch(folder.lower())
    return match[1] if match else ""


def read_split_lists(root: Path) -> dict[str, tuple[Path, list[str]]]:
    """Return the list of each split and the names in it, without the endings of image files.

    Several lists of a split are joined. Where there is no list of train, that of trainval stands for it, less what val
    names.

    Raises:
        DataError: a list is no text, or a CSV without columns.
    """
    for name in LIST_FOLDERS:
        folder = root / name
        lists: dict[str, tuple[Path, list[str]]] = {}
        for file in sorted(folder.glob("*.txt")) if folder.is_dir() else ():
            if split := split_name(file.stem):
                lists.setdefault(split, (file, []))[1].extend(_names(file))
        whole = sorted(file for file in folder.glob("*.txt") if _TRAIN_VAL.fullmatch(file.stem))
        if whole and "train" not in lists:
            scored = set(lists["val"][1]) if "val" in lists else set()
            lists["train"] = (whole[0], [name for name in _names(whole[0]) if name not in scored])
        if lists:
            return lists
        if folder.is_dir() and (tables := _tables(folder)):
            return tables
    return {}


def splits_by_lists(root: Path, files: Sequence[Path], tell: Callable[[str], None]) -> dict[Path, str]:
    """Return the splits of files that a list below a folder names; files that none names are left out.

    Args:
        root: the folder.
        files: of the set.
        tell: is told of names that fit no file, or several.

    Raises:
        DataError: a list is no text, or two name one file.
    """
    if not files:
        return {}
    named: dict[str, list[Path]] = {}
    for file in files:
        path = PurePosixPath(unicodedata.normalize("NFC", file.relative_to(root).with_suffix("").as_posix()))
        for start in range(len(path.parts)):
            named.setdefault("/".join(path.parts[start:]), []).append(file)
    found: dict[Path, str] = {}
    for split, (source, names) in read_split_lists(root).items():
        where, absent = source.relative_to(root).as_posix(), list[str]()
        for name in dict.fromkeys(names):
            parts = PurePosixPath(unicodedata.normalize("NFC", name)).parts
            tails = ("/".join(parts[start:]) for start in range(len(parts)))
            alike = next((named[tail] for tail in tails if tail in named), [])
            if len(alike) != 1:
                absent.append(name)
            elif found.setdefault(alike[0], split) != split:
                raise DataError("Images to score on must not be trained on",
                                found=f"{where}: {name} is in the list of {found[alike[0]]}, too",
                                do="remove it from one of the lists")  # fmt: skip
        if absent:
            tell(f"{where} names {len(absent)} that are not there, or fit several: {listing(absent[:_FEW])}")
    return found


def read_table(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV with a line of names, by these names in lower case; commas, semicolons or tabs divide.

    Raises:
        DataError: it is no text, or has no line of names.
    """
    try:
        lines = read_text(file).splitlines()
        head = lines[0] if lines else ""
        divider = max(",;\t", key=head.count)
        rows = list(csv.reader(lines, delimiter=divider))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("A table must be CSV", found=f"{file}: {error}", do="save it as UTF-8") from None
    if not rows or not any(rows[0]):
        raise DataError("A table must begin with a line of column names", found=f"{file}: empty",
                        do="write the column names into its first line")  # fmt: skip
    names = [name.strip().lower() for name in rows[0]]
    return [dict(zip(names, (cell.strip() for cell in row), strict=False)) for row in rows[1:] if any(row)]


def column(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return the first of the wanted columns that a table has."""
    there = set(names)
    return next((name for name in wanted if name in there), None)


def _tables(folder: Path) -> dict[str, tuple[Path, list[str]]]:
    found: dict[str, tuple[Path, list[str]]] = {}
    for file in sorted(folder.glob("*.csv")):
        try:
            rows = read_table(file)
        except DataError:
            continue  # not every table is a list of splits
        names = rows[0] if rows else {}
        files, splits = column(names, FILE_COLUMNS), column(names, SPLIT_COLUMNS)
        if files is None:
            continue
        if splits is None:
            if own := split_name(file.stem):
                found.setdefault(own, (file, []))[1].extend(_name(row[files]) for row in rows if row.get(files))
            continue
        for row in rows:
            split = split_name(row.get(splits, ""))
            if split and row.get(files):
                found.setdefault(split, (file, []))[1].append(_name(row[files]))
    return found


def _names(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in read_text(file).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("The list of a split must be a text file", found=f"{file}: {error}",
                        do="save it as UTF-8, an image name on each line") from None  # fmt: skip
    return [_name(line) for line in lines if line]


def _name(line: str) -> str:
    """Return what a line names: `a`, `a.jpg`, `images/a.jpg`, `images/a.jpg labels/a.png` are all `a` at the end."""
    first = line
    for suffix in sorted(IMAGE_SUFFIXES, key=len, reverse=True):
        at = line.lower().find(f"{suffix} ")
        if at > 0:
            first = line[: at + len(suffix)]
            break
    path = PurePosixPath(first.replace("\\", "/"))
    return (path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path).as_posix().lstrip("/")
