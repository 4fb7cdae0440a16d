"""Images with one label each in a table (CSV of file and label), in Roboflow's `_classes.csv`, or in a folder a class
without splits: `data=image_list data.root=FOLDER`."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ablata.base.errors import DataError, choices, listing
from ablata.base.files import read_text
from ablata.data.classification.file_list import Listing
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.formats.places import images_under, relative, split_of_path
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.labels.split_lists import FILE_COLUMNS, SPLIT_COLUMNS, column, split_name, splits_by_lists
from ablata.data.labels.splitting import SplitRule, divided
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import Source

LABEL_COLUMNS = ("label", "class", "class_name", "classname", "category", "target", "species", "breed", "diagnosis",
                 "label_name", "labels", "classes", "tag", "y")  # fmt: skip
"""Names of the column that holds labels, the surest first."""
LAYOUT = "a table (.csv) of files and labels beside its images, or a folder of images for each class"
_ONE = "Every image must have one label: ablata trains classifiers of one label an image"
_ONE_ADVICE = "give each image one of its labels, or train one network a label: a column of yes and no is such a label"
_SEVERAL = re.compile(r"[|;]")
_FEW = 3


@dataclass(frozen=True)
class LabelRow:
    """A line of a table: where it stands, the file and the label as written, and the split; empty: not said."""

    where: str
    file: str
    label: str
    split: str


class ImageList(SplitRule, ImageFolder):
    """Images with labels in a table, or in a folder a class; a set without a validation split is divided by a rule."""

    kind: Literal["image_list"] = "image_list"  # type: ignore[assignment]
    table: str | None = None
    """The table, below the root; null: the one that has columns of images and labels, else folders by class."""
    file_column: str | None = None
    """Its column of image names; null: the one called filename, image, path, id and the like."""
    label_column: str | None = None
    """Its column of labels; null: label, class, category, target and the like."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return fits(folder)

    def listed(self, cache: Path) -> Listing:
        """Find the folder, and list its images with their labels and splits.

        Raises:
            DataError: there is none, the table has no such column, an image of it is missing or has several labels.
        """
        known = self.table is not None
        fitting = Path.is_dir if known else lambda folder: fits(folder) or bool(_undecodable(folder))
        root = find_root(self.root, default=None, fits=fitting, layout=LAYOUT, cache=cache)
        tables = [root / self.table] if self.table is not None else find_tables(root) or _undecodable(root)
        if tables:
            rows = [row for table in tables for row in read_labels(table, root, self.file_column, self.label_column)]
            found = _matched(root, rows)
        else:
            found = [(file, file.parent.name, split_of_path(file, root)) for file in _in_class_folders(root)]
        others = (
            [] if known else [file for file in sorted(root.glob("*.csv")) if file not in tables and _has_labels(file)]
        )
        told = f"{listing(relative(one, root) for one in tables)} is read; data.table chooses another table of labels: "
        notes = [told + listing(file.name for file in others)] if tables and others else []
        return self._list(root, found, tables, notes)

    def _list(
        self, root: Path, found: Sequence[tuple[Path, str, str]], tables: Sequence[Path], told: list[str]
    ) -> Listing:
        ids = sorted({label for _, label, _ in found}, key=_by_number)
        labels = np.array([ids.index(label) for _, label, _ in found], dtype=np.int64)
        lists = splits_by_lists(root, [file for file, _, _ in found], told.append)
        said = [split or lists.get(file, "") for file, _, split in found]
        names = [relative(file, root) for file, _, _ in found]
        parts = divided(self, names, said, np.eye(max(len(ids), 1), dtype=bool)[labels], self.split_seed, root)
        files: dict[Source, list[Path]] = {"train": [], "val": []}
        rows: dict[Source, list[int]] = {"train": [], "val": []}
        for (file, _, _), label, split in zip(found, labels.tolist(), parts.splits, strict=True):
            for source in ("train", "val", "test"):
                if source == split:
                    files.setdefault(source, []).append(file)
                    rows.setdefault(source, []).append(label)
        listed = {file for file, _, _ in found}
        beside = tuple(relative(file, root) for file in images_under(root) if file not in listed)
        return Listing(
            root=root,
            ids=tuple(ids),
            classes=tuple(ids),
            files=files,
            labels={source: np.array(one, np.int64) for source, one in rows.items()},
            hashed=[*files["train"], *files["val"], *tables],
            outside=beside,
            remarks=(*told, *parts.notices),
        )


def fits(folder: Path) -> bool:
    """Tell whether a folder has a table of files and labels, or folders of images by class."""
    return bool(find_tables(folder)) or next(_in_class_folders(folder), None) is not None


def find_tables(folder: Path) -> list[Path]:
    """Return the tables of files and labels: at the top, else one in each split's folder (`train/_classes.csv`)."""
    for files in (sorted(folder.glob("*.csv")), sorted(folder.glob("*/*.csv"))):
        found = [file for file in files if _has_labels(file)]
        if found:
            # A table of the whole set counts more than those of its splits.
            whole = [file for file in found if not split_name(file.stem) and file.parent == folder]
            return whole[:1] or found
    return []


def _undecodable(folder: Path) -> list[Path]:
    """Return the CSV files in a folder that are no text in a known encoding; reading one says so."""
    found = []
    for file in sorted(folder.glob("*.csv")):
        try:
            read_text(file)
        except (OSError, UnicodeDecodeError):
            found.append(file)
    return found


def _has_labels(file: Path) -> bool:
    try:
        head, rows = _rows(file)
    except DataError:
        return False
    if not rows or column(head, FILE_COLUMNS) is None:
        return False
    return column(head, LABEL_COLUMNS) is not None or bool(_flags(head, rows))


def _rows(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of a table's columns, in lower case, and its lines by number; one without names begins with a
    file and its label.

    Raises:
        DataError: it is no CSV.
    """
    try:
        lines = read_text(file).splitlines()
        divider = max(",;\t", key=(lines[0] if lines else "").count)
        rows = [(number, [cell.strip() for cell in row])
                for number, row in enumerate(csv.reader(lines, delimiter=divider), start=1) if any(row)]  # fmt: skip
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("A table must be CSV", found=f"{file}: {error}", do="save it as UTF-8") from None
    if rows and Path(rows[0][1][0]).suffix.lower() in IMAGE_SUFFIXES:
        return ["file", "label", "split"][: max(len(rows[0][1]), 2)], rows
    return ([cell.lower() for cell in rows[0][1]], rows[1:]) if rows else ([], [])


def _flags(head: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]]) -> list[int]:
    """Return the columns of Roboflow's table: all but that of files, 0 or 1 in each line; nothing of other tables."""
    files = column(head, FILE_COLUMNS)
    own = [place for place, name in enumerate(head) if name != files]
    if len(own) < 2:
        return []
    flags = all(len(row) == len(head) and all(row[place] in ("0", "1") for place in own) for _, row in rows)
    return own if flags else []


def read_labels(
    file: Path, root: Path, file_column: str | None = None, label_column: str | None = None
) -> Iterator[LabelRow]:
    """Yield the lines of a table.

    Raises:
        DataError: a column is missing, a line has no label, or several.
    """
    name = relative(file, root)
    head, rows = _rows(file)
    files = (file_column or column(head, FILE_COLUMNS) or "").lower()
    labels = (label_column or column(head, LABEL_COLUMNS) or "").lower()
    flags = [] if labels else _flags(head, rows)
    for key, wanted, there in (("file_column", files, files in head), ("label_column", labels, labels in head)):
        if not there and not (key == "label_column" and flags):
            raise DataError(f"data.{key} must be a column of the table", found=f"{name}: {wanted or 'none'}",
                            do=f"its columns are {choices(head, wanted)}")  # fmt: skip
    splits, own = column(head, SPLIT_COLUMNS), split_name(file.stem) or split_of_path(file, root)
    alone = {row[head.index(labels)] for _, row in rows if labels and len(row) > head.index(labels)}
    for number, row in rows:
        where = f"{name}, line {number}"
        cells = dict(zip(head, row, strict=False))
        if flags:
            chosen = [head[place] for place in flags if row[place] == "1"]
            label = chosen[0] if len(chosen) == 1 else ""
            if len(chosen) > 1:
                raise DataError(_ONE, found=f"{where}: {listing(chosen[:_FEW])}", do=_ONE_ADVICE)
        else:
            label = cells.get(labels, "")
        if not label or label.casefold() == "nan" or not cells.get(files):
            raise DataError("Every line must have a file and a label", found=f"{where}: {short_row(row)}",
                                do="complete the line, or remove it")  # fmt: skip
        parts = [one.strip() for one in re.split(r"[|;,]", label)]
        if len(parts) > 1 and (_SEVERAL.search(label) or all(one in alone for one in parts)):
            raise DataError(_ONE, found=f"{where}: {label}", do=_ONE_ADVICE)
        split = split_name(cells.get(splits, "")) if splits else own
        yield LabelRow(where, cells[files], label, split or own)


def short_row(row: Sequence[str]) -> str:
    """Return a line as a message shows it."""
    text = ", ".join(row)
    return text if len(text) < 60 else f"{text[:57]}..."


def _matched(root: Path, rows: Sequence[LabelRow]) -> list[tuple[Path, str, str]]:
    """Return the images that a table names: by their paths below the root or the ends of these, with or without suffix.

    Raises:
        DataError: one is missing, its name fits several, or it has several labels.
    """
    named: dict[str, list[Path]] = {}
    for file in images_under(root):
        path = Path(relative(file, root))
        for start in range(len(path.parts)):
            tail = Path(*path.parts[start:])
            for key in dict.fromkeys((tail.as_posix(), tail.with_suffix("").as_posix())):
                named.setdefault(key, []).append(file)
    found: dict[Path, LabelRow] = {}
    for row in rows:
        parts = [part for part in row.file.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        alike = next((named[tail] for tail in tails if tail in named), [])
        own = [file for file in alike if row.split and split_of_path(file, root) == row.split]
        alike = own if len(own) == 1 else alike
        if len(alike) != 1:
            must = "A line of a table must fit one image only" if alike else "Every image of a table must exist"
            raise DataError(must, found=f"{row.where}: {row.file} {f'fits {len(alike)}' if alike else 'is not there'}",
                            do="write more of its path" if alike else "correct the line, or remove it")  # fmt: skip
        first = found.setdefault(alike[0], row)
        if first.label != row.label:
            raise DataError(_ONE, found=f"{row.where}: {row.file} is {row.label}, and {first.label} in {first.where}",
                            do=_ONE_ADVICE)  # fmt: skip
    return [(file, row.label, row.split or split_of_path(file, root)) for file, row in found.items()]


def _in_class_folders(root: Path) -> Iterator[Path]:
    """Yield the images of a set with a folder a class: two or more folders that hold images alone, at one depth.

    Two folders whose files have the same names may be images with masks of them, which their pixels tell.
    """
    files = list(images_under(root))
    depths = Counter(len(file.relative_to(root).parts) for file in files)
    stems: dict[Path, dict[str, Path]] = {}
    for file in files:
        stems.setdefault(file.parent, {})[file.stem] = file
    usual = any(split_name(folder.name) or folder.name.lower() in _NO_CLASSES for folder in stems)
    if len(depths) == 1 and next(iter(depths)) == 2 and len(stems) > 1 and not usual and not _are_twins(stems):
        yield from files


def _are_twins(stems: Mapping[Path, Mapping[str, Path]]) -> bool:
    """Tell whether one of two folders holds a mask, or another image, for each image of the other."""
    if len(stems) != 2:
        return False
    first, second = stems.values()
    if first.keys() != second.keys():
        return False
    names = sorted(first)[:: max(1, len(first) // _LOOKED_AT)]
    return all(_is_drawn_on(first[name], second[name]) for name in names)


def _is_drawn_on(first: Path, second: Path) -> bool:
    """Tell whether two files are equal, or of one size and two kinds: few colours and many, grey and coloured."""
    one, other = _size_and_kind(first), _size_and_kind(second)
    if one == other:
        return first.read_bytes() == second.read_bytes()
    return one is None or other is None or one[0] == other[0]


def _size_and_kind(file: Path) -> tuple[tuple[int, int], tuple[bool, bool]] | None:
    """Return an image's size, and whether it has few colours, and is grey; None: of many bands, or damaged."""
    try:
        with Image.open(file) as image:
            plain = image.convert("I") if image.mode.startswith("I;") else image
            return image.size, (plain.getcolors(_MASK_COLORS) is not None, image.mode in _GREY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


_LOOKED_AT, _MASK_COLORS = 8, 32
_GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "F"}


_NO_CLASSES = {"images", "image", "img", "imgs", "labels", "label", "masks", "mask", "annotations", "gt", "jpegimages"}


def _by_number(label: str) -> tuple[int, float, str]:
    """Sort numbers by their values, before names."""
    return (0, float(label), label) if re.fullmatch(r"-?\d+(\.\d+)?", label) else (1, 0.0, label)
