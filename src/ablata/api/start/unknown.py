"""What a folder without a known layout holds, and why it cannot be trained on: no labels, masks alone, captions."""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
from PIL import Image

from ablata.base.errors import DataError, listing
from ablata.base.files import read_text
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under

_LAYOUTS = (
    "the simplest layouts: CLASS/IMAGE; images/ and masks/ with files of the same names; images/ with labels/NAME.txt "
    "of YOLO; images beside a JSON of COCO; a CSV of files and labels. All of them: docs/howto/formats.md"
)
_CAPTIONS = {"caption", "captions", "text", "comment", "sentence", "prompt", "description"}
"""Names of columns and keys under which tools write texts of images."""
_SHOWN, _LOOKED_AT, _WORDS = 3, 8, 3
_FEW_VALUES = 32
"""Values of one band of which an image with more is no mask of classes."""
_HEAD = 1 << 16


def unknown_layout(folder: str, root: Path, task: str | None) -> DataError:
    """Return the error that says what a folder holds instead of a layout that is known.

    Args:
        folder: as it was given.
        root: where it lies: a folder, or a zip.
        task: that was asked for; None: any.
    """
    names = _names(root)
    images = [name for name in names if name.suffix.lower() in IMAGE_SUFFIXES]
    asked = f", for the task {task}" if task else ""
    if not names:
        kind = "zip" if root.is_file() else "folder"
        return DataError(f"A {kind} must hold images with labels", found=f"{folder}: it is empty", do=_LAYOUTS)
    held = f"{folder}{asked}: files: {_endings(names)}"
    if not images:
        return DataError("A folder must hold images with labels", found=f"{held}; none is an image", do=_LAYOUTS)
    if root.is_dir() and (captions := _captions(root, names)):
        return DataError(
            "Images must have classes, masks, boxes or identities: networks are not trained on captions here",
            found=f"{held}; captions in {captions}",
            do="give each image a class (CLASS/IMAGE, or a CSV of files and labels), or write masks or boxes",
        )
    if root.is_dir() and (values := _mask_values([root / name for name in images])):
        return DataError(
            "Masks must have images beside them",
            found=f"{held}, of which those looked at have one band with {values} values at most: masks alone",
            do="put the images there too: images/NAME.jpg with masks/NAME.png, or NAME.jpg with NAME_mask.png",
        )
    return DataError(
        "A folder must hold images with labels, in a layout that is recognised",
        found=f"{held}; images, but no labels that are understood",
        do=_LAYOUTS,
    )


def _names(root: Path) -> Sequence[PurePath]:
    if root.is_dir():
        return [file.relative_to(root) for file in files_under(root)]
    try:
        with zipfile.ZipFile(root) as packed:
            return [PurePosixPath(name) for name in packed.namelist() if not name.endswith("/")]
    except (OSError, zipfile.BadZipFile):
        return []


def _endings(names: Sequence[PurePath]) -> str:
    """Say which files there are by their endings, the most frequent first."""
    endings = Counter(name.suffix.lower() or "no ending" for name in names)
    return listing(f"{count} {ending}" for ending, count in endings.most_common(_SHOWN))


def _captions(root: Path, names: Sequence[PurePath]) -> str:
    """Return the files that hold captions: a table, JSON, or a text beside each image; nothing where none does."""
    stems = {name.with_suffix("") for name in names if name.suffix.lower() in IMAGE_SUFFIXES}
    beside = [name for name in names if name.suffix.lower() == ".txt" and name.with_suffix("") in stems]
    if beside and all(_is_prose(root / name) for name in beside[:_LOOKED_AT]):
        return f"{beside[0]} and {len(beside) - 1} more" if len(beside) > 1 else str(beside[0])
    others = [name for name in names if name.suffix.lower() in (".csv", ".tsv", ".txt", ".json", ".jsonl", ".token")]
    return next((str(name) for name in others if name not in beside and _has_caption_key(root / name)), "")


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except (OSError, UnicodeDecodeError):
        return ""


def _is_prose(file: Path) -> bool:
    words = _text(file).split()
    return len(words) >= _WORDS and sum(word.strip(".,!?;:'\"()-").isalpha() for word in words) * 2 > len(words)


def _has_caption_key(file: Path) -> bool:
    text = _text(file)
    if file.suffix.lower() in (".json", ".jsonl"):
        return any(f'"{key}"' in text[:_HEAD].lower() or f'"{key}"' in text[-_HEAD:].lower() for key in _CAPTIONS)
    first = next(iter(text.splitlines()), "")
    cells = next(csv.reader([first], delimiter=max(",;\t|", key=first.count)), [])
    return any(cell.strip().lower() in _CAPTIONS for cell in cells)


def _mask_values(images: Sequence[Path]) -> int:
    """Return how many values masks have at most; 0: some of the images looked at are none."""
    most = 0
    for file in images[:: max(1, len(images) // _LOOKED_AT)]:
        try:
            with Image.open(file) as image:
                if image.mode not in ("1", "L", "P", "I;16", "I") or image.format == "JPEG":
                    return 0
                values = len(np.unique(np.asarray(image)))
        except (OSError, ValueError, SyntaxError):
            return 0
        if values > _FEW_VALUES:
            return 0
        most = max(most, values)
    return most
