"""Folders of images for re-identification, told by their names alone; no torch."""

from __future__ import annotations

import re
from pathlib import Path

from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under

MARKET = "folders bounding_box_train, bounding_box_test and query of images such as 0002_c1s1_000451_03.jpg"
TRAIN, GALLERY, QUERY = "bounding_box_train", "bounding_box_test", "query"
NAMED = "images whose names begin with identity and camera, such as 0001_c1s1.jpg"
PATTERN = r"(?P<identity>-1|\d+)_c(?P<camera>\d+)"
_MOST_OTHERS = 0.1
"""Fraction of a folder's images that may be called otherwise where it is recognized."""


def is_market(folder: Path) -> bool:
    """Tell whether a folder has the layout of Market-1501."""
    return all((folder / name).is_dir() for name in (TRAIN, GALLERY, QUERY))


def is_named(folder: Path) -> bool:
    """Tell whether most images of a folder are called by identity and camera."""
    images = [file for file in files_under(folder) if file.suffix.lower() in IMAGE_SUFFIXES]
    named = sum(re.match(PATTERN, file.stem) is not None for file in images)
    return named > 1 and named >= (1 - _MOST_OTHERS) * len(images)
