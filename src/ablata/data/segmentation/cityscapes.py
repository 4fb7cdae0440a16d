"""Cityscapes: streets of 50 cities at 1024x2048, 19 classes (Cordts et al. 2016, arXiv 1604.01685).

The masks hold the 34 raw ids (`labelIds`); which of them are trained, and as what, is the table of the authors' scripts
(cityscapesscripts/helpers/labels.py). The licence plate is -1 there, which 8-bit masks hold as 255.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.labels.table import Color, LabelTable
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import SOURCES, make_splits
from ablata.data.segmentation.mask_folder import PairFiles, Pairs, SegmentationFileSettings
from ablata.data.segmentation.store import Pair

LAYOUT = "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and gtFine/SPLIT/CITY/*_gtFine_labelIds.png for train and val"
_IMAGE, _MASK = "_leftImg8bit.png", "_gtFine_labelIds.png"

_CLASSES: tuple[tuple[int, str, Color], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)

TABLE = LabelTable(
    form="ids",
    names=tuple(name for _, name, _ in _CLASSES),
    values=tuple(value for value, _, _ in _CLASSES),
    ignored=(0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, -1, 255),
    palette=tuple(color for _, _, color in _CLASSES),
)
"""Raw ids to the 19 train ids."""


class Cityscapes(SegmentationFileSettings):
    """Cityscapes with its fine annotations. `minival` holds out the same fraction of every city."""

    kind: Literal["cityscapes"] = "cityscapes"
    mean: tuple[float, ...] = (0.3257, 0.3690, 0.3223)
    """Mean of red, green, blue, in 0..1, as BiSeNet's public code has it."""
    std: tuple[float, ...] = (0.2112, 0.2148, 0.2115)
    """Standard deviation of red, green, blue, in 0..1."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        crop = self.augment.crop
        height, width = (crop.height, crop.width) if crop else (1024, 2048)
        return NominalShape(classes=19 + (self.void == "class"), channels=3, height=height, width=width)

    def find(self, cache: Path) -> PairFiles:
        """Find the files (decoded they take about 27 GiB); see `SegmentationFileSettings.find`."""
        root = find_root(self.root, default="cityscapes", fits=_has_layout, layout=LAYOUT, cache=cache)
        pairs: Pairs = {source: _pairs(root, source) for source in SOURCES}
        cities = np.unique([pair.image.parent.name for pair in pairs["train"]], return_inverse=True)[1]
        splits = make_splits(cities.astype(np.int64), len(pairs["val"]), self.minival, self.split_seed)
        return PairFiles(root, pairs, TABLE, splits)


def _has_layout(folder: Path) -> bool:
    return all((folder / kind / source).is_dir() for kind in ("leftImg8bit", "gtFine") for source in SOURCES)


def _pairs(root: Path, source: str) -> list[Pair]:
    """Return the pairs of a source in the order of cities and names; masks without an image are left alone."""
    images = sorted((root / "leftImg8bit" / source).glob(f"*/*{_IMAGE}"))
    masks = [
        root / "gtFine" / source / image.parent.name / f"{image.name.removesuffix(_IMAGE)}{_MASK}" for image in images
    ]
    missing = [mask.as_posix() for mask in masks if not mask.is_file()]
    if missing or not images:
        raise DataError(
            "Every image of Cityscapes must have its fine annotation",
            found=f"{len(missing)} missing: {listing(missing[:3])}" if images else f"no images in {source} of {root}",
            do="unpack gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip into one folder",
        )
    return [Pair(image, mask) for image, mask in zip(images, masks, strict=True)]
