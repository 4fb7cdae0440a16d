"""CamVid: streets filmed from a car, 11 classes (Brostow et al. 2009, Pattern Recognition Letters 30).

The frames of a video are nearly equal to their neighbours, so what is held out is the end of every video, never a
random choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError
from ablata.data.labels.layout import list_labelled
from ablata.data.labels.table import Color, read_table
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import Split
from ablata.data.segmentation.mask_folder import LAYOUT, PairFiles, SegmentationFileSettings, has_masks, strict_pairs

PALETTE: tuple[Color, ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
"""The usual colours of the 11 classes, in their order."""


class CamVid(SegmentationFileSettings):
    """CamVid at 360x480: images/SPLIT, labels/SPLIT, classes.txt. `minival` holds out the end of each video."""

    kind: Literal["camvid"] = "camvid"
    mean: tuple[float, ...] = (0.412, 0.425, 0.432)
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = (0.307, 0.311, 0.307)
    """Standard deviation of red, green, blue, in 0..1."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        crop = self.augment.crop
        height, width = (crop.height, crop.width) if crop else (360, 480)
        return NominalShape(classes=11 + (self.void == "class"), channels=3, height=height, width=width)

    def item_groups(self, items: Sequence[str], cache: Path) -> tuple[str, ...] | None:
        """Return the video of each frame; see `DataSettings.item_groups`."""
        return tuple(map(_video, items))

    def find(self, cache: Path) -> PairFiles:
        """Find the files; see `SegmentationFileSettings.find`."""
        root = find_camvid(self.root, cache)
        pairs, notices = strict_pairs(list_labelled(root))
        table = read_table(root / "classes.txt", ("Unlabelled",))
        if len(table.names) == len(PALETTE):
            table = replace(table, palette=PALETTE)
        videos = [_video(pair.image.name) for pair in pairs["train"]]
        train, held_out = hold_out_ends(videos, self.minival)
        splits = {"train": Split("train", train), "val": Split("val", np.arange(len(pairs["val"]), dtype=np.int64))}
        if len(held_out):
            splits["minival"] = Split("train", held_out)
        return PairFiles(root, pairs, table, splits, (root / "classes.txt",), notices)


def find_camvid(root: str | None, cache: Path) -> Path:
    """Return the folder of the files.

    Raises:
        DataError: they are not there.
    """
    return find_root(root, default="camvid", fits=has_masks, layout=LAYOUT, cache=cache)


def _video(frame: str) -> str:
    """Return the video that a frame is from: what its file's name has before the first underscore."""
    return frame.rpartition("/")[2].partition("_")[0]


def hold_out_ends(videos: Sequence[str], amount: int | float) -> tuple[np.ndarray, np.ndarray]:
    """Take the last frames of every video, in proportion to its length.

    Args:
        videos: which video each frame is from, in the order of time.
        amount: how many frames in all, or a fraction in (0, 1) of them; 0 holds out nothing.

    Returns:
        Row numbers that remain and row numbers held out, both int64 and ascending.

    Raises:
        DataError: the amount is negative, no whole number, or leaves a video without a frame.
    """
    count = amount * len(videos) if 0 < amount < 1 else amount
    if not 0 <= count < len(videos) or (amount >= 1 and amount != int(amount)):
        raise DataError(
            "data.minival must be a whole number of samples >= 0 below that of the set, or a fraction between 0 and 1",
            found=f"data.minival={amount} of {len(videos)} samples",
            do="choose such a number, or data.minival=0",
        )
    names = np.array(videos)
    held: list[np.ndarray] = []
    before = 0
    for video in sorted(set(videos)):
        rows = np.flatnonzero(names == video)
        before += len(rows)
        taken = round(count * before / len(videos)) - sum(map(len, held))
        held.append(rows[len(rows) - taken :])
    held_out = np.sort(np.concatenate(held)).astype(np.int64)
    return np.setdiff1d(np.arange(len(videos), dtype=np.int64), held_out, assume_unique=True), held_out
