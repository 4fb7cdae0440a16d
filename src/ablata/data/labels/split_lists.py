"""Lists of names that say which image is in which split: ImageSets/Segmentation/train.txt, as VOC and CVAT have it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from ablata.base.errors import DataError
from ablata.base.files import read_text
from ablata.data.io.decode import IMAGE_SUFFIXES

LIST_FOLDERS = ("ImageSets/Segmentation", "ImageSets", "splits", ".")
"""Where lists are looked for; the first folder that holds one counts."""
_SPLIT = re.compile(r"(train|val|test)(?:ing|id|idation)?(?:\d{4})?")


def split_name(folder: str) -> str:
    """Return train, val or test for names like `training` or `val2017`; nothing for others."""
    match = _SPLIT.fullmatch(folder.lower())
    return match[1] if match else ""


def read_split_lists(root: Path) -> dict[str, tuple[Path, list[str]]]:
    """Return the list of each split and the names in it, without the endings of image files.

    Raises:
        DataError: a list is no text.
    """
    for name in LIST_FOLDERS:
        folder = root / name
        files = sorted(folder.glob("*.txt")) if folder.is_dir() else []
        lists = {split_name(file.stem): file for file in files if split_name(file.stem)}
        if lists:
            return {split: (file, _names(file)) for split, file in lists.items()}
    return {}


def _names(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in read_text(file).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("A list of a split must be a text file", found=f"{file}: {error}") from None
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
