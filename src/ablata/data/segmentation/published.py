"""Published segmentation data sets: images and masks of the same names, a fixed table."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.labels.layout import Sample, layout_splits, list_labelled
from ablata.data.labels.table import LabelTable
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import make_splits
from ablata.data.segmentation.mask_folder import PairFiles, Pairs, SegmentationFileSettings
from ablata.data.segmentation.store import Pair


class PublishedPairs(SegmentationFileSettings):
    """A published set whose folders are IMAGES/SPLIT and LABELS/SPLIT, or SPLIT/IMAGES and SPLIT/LABELS; not itself a
    choice. Masks without an image are left alone, as the sets come with masks of other kinds beside them."""

    @abstractmethod
    def table(self) -> LabelTable:
        """Return what the raw values are."""

    @abstractmethod
    def layout(self) -> str:
        """Return the layout in words."""

    def fits(self, root: Path) -> bool:
        """Tell whether a folder has the layout."""
        splits = layout_splits(root)
        return "train" in splits and bool({"val", "test"} & splits)

    def listed(self, root: Path) -> list[Sample]:
        """List the files under the folder."""
        return list(list_labelled(root).samples)

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for; without a crop the 520x520 of openseg's settings."""
        crop = self.augment.crop
        height, width = (crop.height, crop.width) if crop else (520, 520)
        classes = len(self.table().names) + (self.void == "class")
        return NominalShape(classes=classes, channels=3, height=height, width=width)

    def find(self, cache: Path) -> PairFiles:
        """Find the files; see `SegmentationFileSettings.find`. A set without val is scored on its test images."""
        root = find_root(self.root, default=self.kind, fits=self.fits, layout=self.layout(), cache=cache)
        samples = self.listed(root)
        val = "val" if any(sample.split == "val" for sample in samples) else "test"
        pairs: Pairs = {"train": _pairs(samples, "train", self.layout()), "val": _pairs(samples, val, self.layout())}
        splits = make_splits(np.zeros(len(pairs["train"]), np.int64), len(pairs["val"]), self.minival, self.split_seed)
        return PairFiles(root, pairs, self.table(), splits)


def _pairs(samples: list[Sample], split: str, layout: str) -> list[Pair]:
    chosen = [sample for sample in samples if sample.split == split and sample.image is not None]
    missing = [str(sample.image) for sample in chosen if sample.label is None]
    if missing or not chosen:
        raise DataError(
            "Every image of a published set must have its mask",
            found=f"{len(missing)} of {split} have none: {listing(missing[:3])}" if chosen else f"no images in {split}",
            do=f"unpack the whole set: {layout}",
        )
    return [Pair(sample.image, sample.label) for sample in chosen if sample.image and sample.label]
