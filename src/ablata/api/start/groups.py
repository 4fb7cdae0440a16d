"""Images that belong together, such as the frames of a video or the scans of a patient: told by names or a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ablata.base.errors import DataError
from ablata.data.labels.split_lists import split_name
from ablata.data.labels.splitting import SplitRule

_WORDS = ("patient", "subject", "case", "film", "video", "clip", "sequence", "seq", "scene", "slide", "study", "series",
          "animal", "mouse", "plate", "well", "person", "site", "camera")  # fmt: skip
_COLUMNS = (*_WORDS, *(f"{word}_id" for word in _WORDS), *(f"{word}id" for word in _WORDS), "group", "individual")
_VERSIONS = r"([^/]+)_(?:jpg|jpeg|png|bmp|tif|tiff)\.rf\."
_NUMBERED = r"([^/]*[^/\d_. -])[-_. ]+\d+(?:\.[^/.]*)?$"
_PARTS = r"([^/]*?[^/_. -])[-_. ]+\d+(?:\.[^/.]*)?$"
_FOLDER = r"([^/]+)/[^/]+$"
_FEWEST, _LARGEST = 4, 0.5
"""Groups that a guess must make, and the fraction of the images that one of them may hold."""
_ALL = 0.9
"""Fraction of the images that must belong to a group."""
_NO_GROUPS = {"images", "image", "img", "imgs", "jpegimages", "default", "data", "ds", "ds0"}


@dataclass(frozen=True)
class Grouping:
    """Which images belong together.

    Attributes:
        setting: that says so, `data.group=...` or `data.group_column=...`.
        reason: where it is seen.
        of: the group of each image, by its path.
    """

    setting: str
    reason: str
    of: dict[str, str]

    def in_both(self, train: Sequence[str], val: Sequence[str]) -> list[str]:
        """Return the groups that are trained on and scored on."""
        return sorted({self.of[name] for name in train} & {self.of[name] for name in val})


def find_groups(root: Path, names: Sequence[str], *, by_folder: bool) -> Grouping | None:
    """Look for groups in tables beside the images, then in their names; None: nothing tells of any.

    Args:
        root: the set's folder.
        names: of all images, their paths below it.
        by_folder: folders may stand for groups; not where they stand for classes.
    """
    for rule, reason in _guesses(by_folder):
        try:
            of = dict(zip(names, rule.groups(names, root), strict=True))
        except DataError:
            continue  # no table has that column
        sizes = Counter(of.values())
        grouped = sum(group.startswith("group ") for group in of.values())
        enough = len(sizes) >= (2 if rule.group_column else _FEWEST) and grouped >= _ALL * len(names)
        if enough and len(sizes) < len(names) and max(sizes.values()) <= _LARGEST * len(names):
            told = f"data.group_column={rule.group_column}" if rule.group_column else f"data.group={rule.group}"
            example = next(group for group in of.values() if sizes[group] > 1).removeprefix("group ")
            return Grouping(told, f"{reason}: {len(sizes)} groups such as {example} stay whole in one split", of)
    return None


def _guesses(by_folder: bool) -> Iterator[tuple[SplitRule, str]]:
    for name in dict.fromkeys(_COLUMNS):
        yield SplitRule(group_column=name), f"a table has the column {name}"
    yield SplitRule(group=_VERSIONS), "Roboflow made several versions of an image"
    for word in _WORDS:
        yield SplitRule(group=rf"(?i)({word}[-_ ]?[a-z]?\d+)"), f"names tell the {word}"
    yield SplitRule(group=_NUMBERED), "names are numbered within videos or series"
    yield SplitRule(group=_PARTS), "names are numbered within videos or series"
    if by_folder:
        yield SplitRule(group=_FOLDER), "folders tell which belong together"


def is_folder_of_groups(names: Sequence[str]) -> bool:
    """Tell whether the folders of images may stand for groups: they are no splits and no usual folders of images."""
    folders = {PurePosixPath(name).parent.name for name in names}
    return not any(split_name(folder) or folder.lower() in _NO_GROUPS for folder in folders if folder)


def is_one_film(names: Sequence[str]) -> bool:
    """Tell whether all images are called frames of one video."""
    stems = {re.sub(r"\d+$", "", PurePosixPath(name).stem) for name in names}
    return len(stems) == 1 and re.search(r"(?i)frame|film|video|clip", next(iter(stems))) is not None
