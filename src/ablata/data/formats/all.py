"""The formats of boxes and masks that are read, in the order in which a folder is compared with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablata.data.formats import yolo
from ablata.data.formats.description import Described, Reading

FormatName = Literal["yolo"]


@dataclass(frozen=True)
class Format:
    """An annotation tool's format.

    Attributes:
        name: what `data.format` calls it.
        words: its files, in words.
        fits: tells whether a folder has it.
        describe: reads such a folder, noting every fault.
        classes: returns the classes that it lists, or that occur.
    """

    name: FormatName
    words: str
    fits: Callable[[Path], bool]
    describe: Callable[[Path, Reading], Described]
    classes: Callable[[Path], tuple[str, ...]]


FORMATS: tuple[Format, ...] = (
    Format(
        "yolo",
        "YOLO: images with labels/NAME.txt, and data.yaml or classes.txt",
        yolo.fits,
        yolo.describe,
        yolo.class_names,
    ),
)


def format_of(folder: Path) -> Format | None:
    """Return the format that a folder has; None: none of them."""
    return next((one for one in FORMATS if one.fits(folder)), None)
