"""Synthetic semantic segmentation data set of street scenes: every pixel's class is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.settings import settings_hash
from ablata.data.labels.table import LabelTable, default_palette
from ablata.data.loading.cache import combined, file_digest, stored_arrays
from ablata.data.loading.dataset import PAINTED, NominalShape, SegmentationSettings
from ablata.data.loading.splits import Source, make_splits
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.segmentation.store import PairStore, load_pairs, write_pairs
from ablata.data.synthetic.scene_layout import SEMANTIC
from ablata.data.synthetic.scenes import SceneSettings, Streets
from ablata.data.transforms.segmentation import JointAugment

_VERSION = 1
_TABLE = LabelTable("ids", SEMANTIC, tuple(range(len(SEMANTIC))), (), default_palette(len(SEMANTIC)))


class SceneMasks(SceneSettings, SegmentationSettings):
    """Synthetic street scenes with the class of every pixel: the images of `scenes`."""

    kind: Literal["scene_masks"] = "scene_masks"
    train: Annotated[int, Field(ge=1)] = 1000
    val: Annotated[int, Field(ge=1)] = 250
    augment: JointAugment = JointAugment(flip=True)
    """Augmentation of training batches."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        seen = self.augment.crop or self.streets
        return NominalShape(len(SEMANTIC), channels=3, height=seen.height, width=seen.width)

    def build(self, cache: Path) -> SegmentationDataset:
        """Paint the images the first time (about a second for a thousand of 64x64), and map them.

        Raises:
            DataError: minival is out of range.
        """
        train, train_digest = _painted(self.streets, "train", self.train, cache)
        val, val_digest = _painted(self.streets, "val", self.val, cache)
        return SegmentationDataset(
            {"train": train, "val": val},
            _TABLE,
            splits=make_splits(np.zeros(self.train, np.int64), self.val, self.minival, self.split_seed),
            fingerprint=combined([train_digest, val_digest]),
            mean=self.mean,
            std=self.std,
            augment=self.augment,
            backend=PAINTED,
        )


def _painted(streets: Streets, source: Source, count: int, cache: Path) -> tuple[PairStore, str]:
    """Return the images of a source and the digest of their pixels and labels."""

    def planes(row: int) -> np.ndarray:
        sample = streets.sample(source, row)
        return np.concatenate([sample.image.transpose(2, 0, 1), sample.semantic[None]])

    def fill(draft: Path) -> dict[str, object]:
        write_pairs(draft, [(streets.height, streets.width)] * count, map(planes, range(count)))
        return {}

    name = f"scene-masks-{settings_hash(streets)}-{source}-{count}-{_VERSION}"
    folder, _ = stored_arrays(cache / "painted" / name, cache, fill)
    return load_pairs(folder), file_digest(folder / "planes.npy", cache)
