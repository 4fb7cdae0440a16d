"""Which images are trained on and which scored on: as the set says, else by a rule that keeps groups together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from ablata.base.errors import DataError, listing
from ablata.base.settings import Settings
from ablata.data.loading.divide import divide

_SHOWN = 3


class SplitRule(Settings):
    """How a set without a validation split is divided; the base of others, not itself a choice."""

    val: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Fraction of the images to score on, drawn by `split_seed` where the set has no validation split: every class in
    both where there are enough."""
    val_match: str | None = None
    """Regular expression: images whose path below the root matches are scored on, all others trained on; null: as the
    set says."""
    group: str | None = None
    """Regular expression: images in whose paths it finds the same text (in its first brackets) are of one film or
    patient, and no draw parts them; null: every image is its own group."""

    @field_validator("val_match", "group")
    @classmethod
    def _is_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"must be a regular expression, got {value!r}: {error}") from None
        return value

    def groups(self, names: Sequence[str]) -> list[str]:
        """Return the group of each image, by its path below the root."""
        if self.group is None:
            return list(names)
        found = ((name, re.search(self.group, name)) for name in names)
        return [name if one is None else f"group {one[1 if one.re.groups else 0]}" for name, one in found]


@dataclass(frozen=True)
class Divided:
    """The split of each image, train, val or test; empty: it is left out. With what the reader should know."""

    splits: Sequence[str]
    notices: tuple[str, ...] = ()


def divided(rule: SplitRule, names: Sequence[str], splits: Sequence[str], holds: np.ndarray, seed: int) -> Divided:
    """Divide images.

    Args:
        rule: the settings.
        names: of each image its path below the root.
        splits: what the set says of each; empty: nothing.
        holds: bool [n, classes], which image holds which class.
        seed: of a draw.

    Raises:
        DataError: nothing would be left to train on, or to score on.
    """
    pool = [row for row, split in enumerate(splits) if split != "test"]
    made = list(splits)
    if rule.val_match is not None:
        matches = [re.search(rule.val_match, names[row]) is not None for row in pool]
        if all(matches) or not any(matches):
            raise DataError("data.val_match must match some images and leave others to train on",
                            found=f"{rule.val_match!r} matches {sum(matches)} of {len(pool)} images",
                            do="change the expression; it is searched in each path below the folder")  # fmt: skip
        for row, is_val in zip(pool, matches, strict=True):
            made[row] = "val" if is_val else "train"
        return Divided(made, (f"val: the {sum(matches)} images that data.val_match finds",))
    if "val" in splits:
        if "train" in splits:
            beside = [names[row] for row in pool if not splits[row]]
            told = f"{len(beside)} images are in no split and are left out: {listing(beside[:_SHOWN])}"
            return Divided(made, (told,) if beside else ())
        if "" not in splits:
            raise DataError("A data set must have images to train on", found=f"val alone, {len(pool)} images",
                            do="set data.val_match to a regular expression of the images to score on")  # fmt: skip
        return Divided([split or "train" for split in made])
    pool = [row for row in pool if splits[row] == "train"] if "train" in splits else pool
    groups = rule.groups([names[row] for row in pool])
    units = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    of = np.array([units[one] for one in groups], dtype=np.int64)
    held = np.zeros((len(units), holds.shape[1]), dtype=bool)
    np.logical_or.at(held, of, holds[pool])
    if len(units) < 2:
        raise DataError(
            "There must be at least two images, or groups of images, to divide into train and val",
            found=f"{len(units)}{' group' if rule.group is not None else ''}",
            do="add images, or set data.group=null" if rule.group is not None else "add images",
        )
    chosen = divide(held, [""] * len(units), rule.val, seed)[of]
    for row, is_val in zip(pool, chosen.tolist(), strict=True):
        made[row] = "val" if is_val else "train"
    what = f" in {len(units)} groups" if rule.group is not None else ""
    return Divided(made, (f"the set has no validation split: {int(chosen.sum())} of {len(pool)} images{what} drawn "
                          f"with data.split_seed={seed}",))  # fmt: skip
