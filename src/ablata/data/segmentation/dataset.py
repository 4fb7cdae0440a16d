"""Semantic segmentation data sets: images with a class for every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.data.labels.table import LabelTable
from ablata.data.loading.dataset import Dataset
from ablata.data.loading.splits import Source, Split
from ablata.data.segmentation.store import PairReader, PairStore
from ablata.data.transforms.segmentation import JointAugment, JointAugmenter
from ablata.structures.segmentation import IGNORE, SegmentationBatch


class SegmentationDataset(Dataset[SegmentationBatch]):
    """A semantic segmentation data set with its splits, ready to be read.

    Args:
        stores: the decoded pairs of each source.
        table: the classes, their raw values and colours.
        splits: train, val, and minival where the settings ask for it.
        fingerprint: hexadecimal hash of the content.
        mean: mean of each channel over the training set, in 0..1.
        std: standard deviation of each channel, in 0..1.
        augment: augmentation of training batches.
        backend: how pixels were decoded, for checkpoints.
        notices: what the reader should know of the files.
        later: gives the pairs of a source that no training needs, when it is asked for.
        test_digest: gives the fingerprint of the test split's files.
        names: what the images of each source are called; by default their row numbers.

    Raises:
        DataError: whole images are to be trained on that have several sizes.
    """

    ignore = IGNORE

    def __init__(
        self,
        stores: dict[Source, PairStore],
        table: LabelTable,
        *,
        splits: dict[str, Split],
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        augment: JointAugment,
        backend: str,
        notices: Sequence[str] = (),
        later: Mapping[Source, Callable[[], PairStore]] | None = None,
        test_digest: Callable[[], str] = str,
        names: Mapping[Source, Sequence[str]] | None = None,
    ) -> None:
        super().__init__(
            classes=table.names, splits=splits, fingerprint=fingerprint, mean=mean, std=std, backend=backend
        )
        self.table, self._augment, self._stores, self._later = table, augment, dict(stores), later or {}
        self._test_digest, self._names = test_digest, names or {}
        self._planes: dict[Source, Tensor] = {}
        self.channels = next(iter(self._stores.values())).channels
        self.image_size = self._trained_size()
        self.notices = (*notices, *self.notices, *self._own_notices())

    def test_fingerprint(self) -> str:
        """Return the fingerprint of the test split; see `Dataset.test_fingerprint`."""
        return self._test_digest()[:24]

    def item_names(self, split: str, index: np.ndarray) -> tuple[str, ...]:
        """Return what the images are called; see `Dataset.item_names`."""
        names = self._names.get(self.split(split).source)
        return super().item_names(split, index) if names is None else tuple(names[int(row)] for row in index)

    def _store(self, source: Source) -> PairStore:
        if source not in self._stores:
            self._stores[source] = self._later[source]()
        return self._stores[source]

    def pixel_counts(self, split: str) -> Tensor:
        """Return int64 [classes + 1], pixels of each class in a split, and last the ignored ones."""
        chosen = self.split(split)
        counts = self._store(chosen.source).pixels[chosen.index].sum(axis=0)
        return torch.from_numpy(np.append(counts[: len(self.classes)], counts[IGNORE]))

    def image_pixels(self, split: str) -> np.ndarray:
        """Return int64 [n, classes], pixels of each class in each image of a split."""
        chosen = self.split(split)
        counts: np.ndarray = self._store(chosen.source).pixels[chosen.index][:, : len(self.classes)].astype(np.int64)
        return counts

    def image_sizes(self, split: str) -> np.ndarray:
        """Return int64 [n, 2], height and width of each image of a split as evaluation sees it."""
        chosen = self.split(split)
        sizes: np.ndarray = self._store(chosen.source).sizes[chosen.index]
        return sizes

    def reader(self, source: Source, *, training: bool, seed: int, device: torch.device) -> PairReader:
        """Return a reader of the source's decoded pairs; random changes are the augmentation's."""
        store = self._store(source)
        if source not in self._planes:
            self._planes[source] = torch.from_numpy(store.planes)
        return PairReader(self._planes[source], store.starts, store.sizes, store.channels)

    def augmenter(self, seed: int, channels_last: bool = False) -> JointAugmenter:
        """Return the augmentation of a run with this seed."""
        return JointAugmenter(self._augment, seed, self.normalizer(channels_last))

    def _trained_size(self) -> tuple[int, int]:
        crop = self._augment.crop
        if crop is not None:
            return crop.height, crop.width
        sizes = np.unique(self.image_sizes("train"), axis=0)
        if len(sizes) != 1:
            shown = listing(f"{height}x{width}" for height, width in sizes[:5].tolist())
            raise DataError(
                "Images of several sizes must be cut to one for training",
                found=f"{len(sizes)} sizes (height x width): {shown}",
                do="set data.augment.crop.height and data.augment.crop.width",
            )
        return int(sizes[0, 0]), int(sizes[0, 1])

    def _own_notices(self) -> list[str]:
        size = sum(store.planes.nbytes for store in self._stores.values())
        notices = [f"decoded images and labels: {size / 2**20:,.0f} MiB in the cache folder, mapped into memory"]
        for split in ("train", "val"):
            counts = self.pixel_counts(split)[:-1]
            missing = [name for name, count in zip(self.classes, counts.tolist(), strict=True) if not count]
            if missing:
                notices.append(
                    f"{counted(len(missing), 'class has', 'classes have')} no pixel in {split}: {listing(missing)}"
                )
        return notices
