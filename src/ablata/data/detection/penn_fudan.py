"""Penn-Fudan pedestrians (Wang et al. 2007): 170 images of streets with a mask for each of 423 persons.

The set has no split of its own: which images are scored on is drawn by `split_seed`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset
from ablata.data.detection.files import (
    DetectionFileSettings,
    FileImages,
    check_files,
    files_digest,
    image_splits,
)
from ablata.data.detection.problems import Findings, checked_objects
from ablata.data.detection.rle import encode, tight_box
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import SOURCES

_IMAGES = ("PNGImages_jpg", "PNGImages")
_MASKS = "PedMasks"


class PennFudan(DetectionFileSettings):
    """170 images of streets with 423 pedestrians."""

    kind: Literal["penn_fudan"] = "penn_fudan"
    val: Annotated[int, Field(ge=1)] = 50
    """Images to score on."""

    def class_count(self) -> int:
        """Return 1."""
        return 1

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        return find_root(
            self.root,
            default="penn_fudan",
            fits=lambda folder: (folder / _MASKS).is_dir() and any((folder / name).is_dir() for name in _IMAGES),
            layout="PNGImages/NAME.png (or PNGImages_jpg/NAME.jpg) and PedMasks/NAME_mask.png",
            cache=cache,
        )

    def build(self, cache: Path) -> DetectionDataset:
        """Read the masks.

        Raises:
            DataError: files are missing, or have faults that are refused.
        """
        root = self.locate(cache)
        folder = next(root / name for name in _IMAGES if (root / name).is_dir())
        files = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
        if not self.val < len(files):
            raise DataError("data.val must leave images to train on", found=f"data.val={self.val} of {len(files)}")
        findings = Findings(self.on_invalid)
        notes = [root / _MASKS / f"{file.stem}_mask.png" for file in files]
        sizes = check_files(files, [None] * len(files), findings)
        entries, first = [], 0
        for note, size in zip(notes, sizes, strict=True):
            entries.append(_entry(note, size, first, findings))
            first += len(entries[-1].objects)
        notices = findings.notices()
        order = np.random.default_rng(derive(self.split_seed, "split", 1)).permutation(len(files))
        parts = (np.sort(order[self.val :]), np.sort(order[: self.val]))
        sources = [FileImages([entries[row] for row in part], [files[row] for row in part]) for part in parts]
        return DetectionDataset(
            classes=("pedestrian",),
            sources=dict(zip(SOURCES, sources, strict=True)),
            fingerprint=files_digest(root, [*files, *notes], cache),
            mean=self.mean,
            std=self.std,
            splits=image_splits(len(parts[0]), len(parts[1]), self.minival, self.split_seed),
            augment=self.augment,
            backend="opencv",
            notices=notices,
        )


def _entry(note: Path, size: tuple[int, int], first: int, findings: Findings) -> AnnotatedImage:
    """Read an image's mask, in which each person has a number from 1 on."""
    if not note.is_file():
        raise DataError("Every image must have its mask", found=f"no file {note}")
    with Image.open(note) as image:
        numbers = np.asarray(image)
    if numbers.shape != size:
        findings.refuse(
            "Masks must have the size of their image", f"{note.name}: {numbers.shape} for an image of {size}"
        )
    present = [number for number in np.unique(numbers) if number]
    masks = numbers[None] == np.array(present, dtype=numbers.dtype)[:, None, None]
    boxes = np.array([tight_box(mask) for mask in masks], dtype=np.float64)
    ids = list(range(first, first + len(present)))
    labels, crowd = [0] * len(present), [False] * len(present)
    return AnnotatedImage(
        note.name, size, checked_objects(note.name, size, boxes, labels, encode(masks), ids, crowd, findings)
    )
