"""Settings and steps that sets of annotated image files share: pixels, splits, fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.detection.dataset import AnnotatedImage, ImageSource
from ablata.data.detection.problems import Findings, OnInvalid
from ablata.data.io.decode import ImageRules, open_image, upright_size
from ablata.data.io.encoded import Encoded
from ablata.data.loading.cache import folder_digest
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.splits import Split
from ablata.data.transforms.detection import DetectionAugment

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_THREADS = 8


class DetectionSettings(Settings):
    """Settings of object detection data sets; the base of all, not itself a choice."""

    kind: str
    """Which set."""
    augment: DetectionAugment = DetectionAugment()
    """Sizes of images, and random changes of training ones."""
    minival: Annotated[int, Field(ge=0)] = 0
    """Images held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    mean: tuple[float, ...] = _MEAN
    """Mean of red, green, blue that is subtracted, in 0..1 (ImageNet's, as pretrained backbones have it)."""
    std: tuple[float, ...] = _STD
    """What red, green, blue are divided by, in 0..1."""

    def class_count(self) -> int:
        """Return for how many classes complexity is counted."""
        raise NotImplementedError

    def has_masks(self) -> bool:
        """Tell whether the objects have masks."""
        return True

    def image_size(self) -> tuple[int, int]:
        """Return the height and width that complexity is counted for."""
        side = self.augment.min_size_test or (self.augment.min_size or (512,))[-1]
        return side, min(self.augment.max_size, round(side * 4 / 3))

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, without reading the files."""
        height, width = (-(-side // 32) * 32 for side in self.image_size())
        return NominalShape(self.class_count(), channels=3, height=height, width=width)


class DetectionFileSettings(DetectionSettings):
    """Settings of object detection data sets in files; the base of several, not itself a choice."""

    root: Annotated[str | None, INCIDENTAL] = None
    """Folder of the set, or a zip of it; null: looked for in the folder of data sets (ABLATA_DATA)."""
    on_invalid: OnInvalid = "repair"
    """What is done about faulty boxes and masks: repaired and listed, or refused; see data/detection/problems.py."""


class FileImages(ImageSource):
    """Images that are read from files.

    Args:
        entries: the images.
        files: the file of each.
    """

    def __init__(self, entries: Sequence[AnnotatedImage], files: Sequence[Path]) -> None:
        self.entries, self.files = tuple(entries), tuple(files)

    def pixels(self, row: int) -> np.ndarray:
        """Return uint8 [H, W, 3], as stored: boxes know nothing of the camera's orientation."""
        file = self.files[row]
        return Encoded(file.read_bytes(), str(file), ImageRules("ignored")).array("opencv")


def check_files(
    files: Sequence[Path], sizes: Sequence[tuple[int, int] | None], findings: Findings
) -> list[tuple[int, int]]:
    """Compare image files with what is written of them.

    Args:
        files: one an image.
        sizes: height and width as annotated; None: not said.
        findings: where a missing file, or one of another size, is noted.

    Returns:
        Height and width of each; (0, 0) of a missing one.
    """

    def measured(file: Path) -> tuple[int, int] | None:
        if not file.is_file():
            return None
        with open_image(file, str(file)) as image:
            return upright_size(image, "ignored")

    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(measured, files))
    for file, said, real in zip(files, sizes, found, strict=True):
        if real is None:
            findings.refuse("Every annotated image must exist", str(file))
        elif said is not None and said != real:
            findings.refuse(
                "Images must have the size that their annotation says",
                f"{file}: annotated {said[0]}x{said[1]}, is {real[0]}x{real[1]}",
            )
    return [real or (0, 0) for real in found]


def files_digest(root: Path, files: Sequence[Path], cache: Path) -> str:
    """Return the fingerprint of images and annotations."""
    return folder_digest(root, sorted(set(files)), cache)


def image_splits(
    train: int, val: int, minival: int, split_seed: int, groups: Sequence[str] | None = None
) -> dict[str, Split]:
    """Divide images into train, val and, where asked for, minival.

    Args:
        train: images to train on.
        val: images to score on.
        minival: how many of `train` are held out; with groups, the fewest.
        split_seed: seed of the choice.
        groups: of each training image, such as its patient; a group is held out whole or not at all.

    Raises:
        DataError: nothing would be left to train on.
    """
    if minival >= max(train, 1):
        raise DataError("data.minival must leave images to train on", found=f"data.minival={minival} of {train}")
    names = np.array(groups if groups is not None else [str(row) for row in range(train)])
    order = np.random.default_rng(derive(split_seed, "split")).permutation(np.unique(names))
    held = np.zeros(train, dtype=bool)
    for name in order:
        if int(held.sum()) >= minival:
            break
        held |= names == name
    if minival and held.all():
        raise DataError("data.minival must leave a group to train on", found=f"data.minival={minival} of {train}")
    splits = {"train": Split("train", np.flatnonzero(~held)), "val": Split("val", np.arange(val, dtype=np.int64))}
    if minival:
        splits["minival"] = Split("train", np.flatnonzero(held))
    return splits
