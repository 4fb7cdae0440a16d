"""Which images are trained on and which scored on: as the set says, else by a rule that keeps groups together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, field_validator

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.base.settings import Settings
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.labels.split_lists import FILE_COLUMNS, column, read_table
from ablata.data.loading.divide import divide
from ablata.data.loading.locate import find_root

_SHOWN = 3
DRAWN = "the set has no validation split"
"""How the notice of a drawn split begins."""


class SplitRule(Settings):
    """How a set without a validation split is divided; the base of others, not itself a choice."""

    if TYPE_CHECKING:
        root: str | None = None

    val: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of the images to score on, drawn by `split_seed` where the set has no validation split: every class in
    both where there are enough."""
    val_match: str | None = None
    """Regular expression: images whose path below the root matches are scored on, all others trained on; null: as the
    set says."""
    group: str | None = None
    """Regular expression: images in whose paths it finds the same text (in its first brackets) are of one video or
    patient: no draw parts them, and a study counts them as one; null: every image is its own group."""

    group_column: str | None = None
    """Column of a CSV in the folder, beside one that names files, of videos or patients, as for `data.group`, which may
    name them by their paths instead; null: none."""

    @field_validator("val_match", "group")
    @classmethod
    def _is_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"must be a regular expression, got {value!r}: {error}") from None
        return value

    @property
    def has_groups(self) -> bool:
        """Tell whether images belong to videos, patients and the like."""
        return self.group is not None or self.group_column is not None

    def groups(self, names: Sequence[str], root: Path) -> list[str]:
        """Return the group of each image, by its path below the root; one without a group is its own.

        Raises:
            DataError: no table has the column.
        """
        if self.group_column is not None:
            told = column_by_name(root, self.group_column)
            found_of = (next((told[tail] for tail in _tails(name) if tail in told), "") for name in names)
            return [f"group {value}" if value else name for value, name in zip(found_of, names, strict=True)]
        if self.group is None:
            return list(names)
        found = ((name, re.search(self.group, name)) for name in names)
        return [name if one is None else f"group {one[1 if one.re.groups else 0]}" for name, one in found]

    def item_groups(self, items: Sequence[str], cache: Path) -> tuple[str, ...] | None:
        """Return the groups of scored images by their names; see `DataSettings.item_groups`."""
        if not self.has_groups:
            return None
        with_table = self.group_column is not None
        root = find_root(
            self.root, default=None, fits=_has_table if with_table else Path.is_dir, layout="a CSV", cache=cache
        )
        return tuple(self.groups(items, root))


def _has_table(folder: Path) -> bool:
    return next(folder.glob("*.csv"), None) is not None


def column_by_name(root: Path, wanted: str) -> dict[str, str]:
    """Return a column of the tables in a folder by the names of files, without the endings of images.

    Raises:
        DataError: no table has it beside a column that names files.
    """
    seen: list[str] = []
    for file in sorted(root.glob("*.csv")):
        rows = read_table(file)
        names = list(rows[0]) if rows else []
        files = column(names, FILE_COLUMNS)
        if wanted.lower() in names and files is not None:
            return {_without_ending(row[files]): row.get(wanted.lower(), "") for row in rows if row.get(files)}
        seen += [f"{file.name}: {', '.join(names)}"]
    raise DataError("data.group_column must be a column of a CSV in the folder, beside one that names files",
                    found=f"{wanted}; {root} has {'; '.join(seen) if seen else 'no CSV'}",
                    do="name such a column, or leave data.group_column out")  # fmt: skip


def _tails(name: str) -> Iterator[str]:
    """Yield a path without the ending of an image, and its ends."""
    parts = _without_ending(name).split("/")
    yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _without_ending(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return (path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path).as_posix()


@dataclass(frozen=True)
class Divided:
    """The split of each image, train, val or test; empty: it is left out. With what the reader should know."""

    splits: Sequence[str]
    notices: tuple[str, ...] = ()


def divided(
    rule: SplitRule, names: Sequence[str], splits: Sequence[str], holds: np.ndarray, seed: int, root: Path
) -> Divided:
    """Divide images.

    Args:
        rule: the settings.
        names: of each image its path below the root.
        splits: what the set says of each; empty: nothing.
        holds: bool [n, classes], which image holds which class.
        seed: of a draw.
        root: the set's folder.

    Raises:
        DataError: nothing would be left to train on, or to score on, or no table has the column of the groups.
    """
    rule.groups((), root)  # needed to draw, and to say which scored images belong together where nothing is drawn
    pool = [row for row, split in enumerate(splits) if split != "test"]
    made = list(splits)
    if rule.val_match is not None:
        matches = [re.search(rule.val_match, names[row]) is not None for row in pool]
        if all(matches) or not any(matches):
            raise DataError("data.val_match must match some images and leave others to train on",
                            found=f"{rule.val_match!r} matches {sum(matches)} of {counted(len(pool), 'image')}",
                            do="change the expression; it is searched in each path below the folder")  # fmt: skip
        for row, is_val in zip(pool, matches, strict=True):
            made[row] = "val" if is_val else "train"
        return Divided(made, (f"val: the {counted(sum(matches), 'image')} that data.val_match finds",))
    beside = [names[row] for row in pool if not splits[row]] if "train" in splits else []
    left = (
        (f"{counted(len(beside), 'image is', 'images are')} in no split and are left out: {listing(beside[:_SHOWN])}",)
        if beside
        else ()
    )
    if "val" in splits:
        if "train" in splits:
            return Divided(made, left)
        if "" not in splits:
            raise DataError("A data set must have images to train on", found=f"val alone ({len(pool)})",
                            do="set data.val_match to a regular expression of the images to score on")  # fmt: skip
        return Divided([split or "train" for split in made])
    pool = [row for row in pool if splits[row] == "train"] if "train" in splits else pool
    groups = rule.groups([names[row] for row in pool], root)
    units = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    of = np.array([units[one] for one in groups], dtype=np.int64)
    held = np.zeros((len(units), holds.shape[1]), dtype=bool)
    np.logical_or.at(held, of, holds[pool])
    if len(units) < 2:
        raise DataError(
            "There must be at least two images, or groups of images, to divide into train and val",
            found=f"{len(units)}{' group' if rule.has_groups else ''}",
            do="add images, or set data.group=null data.group_column=null" if rule.has_groups else "add images",
        )
    chosen = divide(held, [""] * len(units), rule.val, seed)[of]
    for row, is_val in zip(pool, chosen.tolist(), strict=True):
        made[row] = "val" if is_val else "train"
    what = f" in {counted(len(units), 'group')}" if rule.group is not None else ""
    drawn = f"{DRAWN}: {int(chosen.sum())} of {counted(len(pool), 'image')}{what} drawn with data.split_seed={seed}"
    return Divided(made, (drawn, *left))
