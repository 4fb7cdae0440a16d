"""Data sets of object detection: images with boxes, and masks where the set has them.

Which images step s sees, and how they are changed, follows from the run's seed and s alone. Images are read ahead by
threads, since decoding leaves the interpreter free.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.data.detection.rle import decode
from ablata.data.detection.views import View, ViewDraws
from ablata.data.detection.written_objects import WrittenObject
from ablata.data.loading.dataset import Dataset
from ablata.data.loading.loaders import BatchIndices, BatchReader, TrainLoader
from ablata.data.loading.splits import Source, Split
from ablata.data.transforms.augmenter import Augmenter
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.object_geometry import horizontal_flip, resize
from ablata.data.transforms.plain import PlainTransform, transform_objects
from ablata.structures.detection import DetectionBatch, Objects, joined

_AHEAD = 2
"""Batches that are read ahead of the one at hand."""
_THREADS = 4
STRIDE = 32
"""Height and width of a batch are multiples of it, so that every level of a pyramid halves evenly."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An annotated image, without its pixels.

    Attributes:
        name: its file, as messages name it.
        size: height and width in pixels.
        objects: what is on it; masks as run lengths.
        id: the set's own number or name of it; None: its row number stands for it.
        written: what each object was written as, where that is kept for conversion.
    """

    name: str
    size: tuple[int, int]
    objects: Objects
    id: int | str | None = None
    written: tuple[WrittenObject, ...] = ()


class ImageSource(ABC):
    """The images of one source.

    Attributes:
        entries: all of them; a row number is a position here.
    """

    entries: tuple[AnnotatedImage, ...]

    @abstractmethod
    def pixels(self, row: int) -> np.ndarray:
        """Return uint8 [H, W, C]; C is 3, red, green, blue, where no other bands are chosen.

        Raises:
            DataError: the file cannot be decoded.
        """

    def digest(self, row: int) -> str:
        """Return a hash of an image's content, hexadecimal digits."""
        return hashlib.sha256(np.ascontiguousarray(self.pixels(row)).tobytes()).hexdigest()


@dataclass(frozen=True)
class ViewReader(BatchReader[DetectionBatch]):
    """Reads images with their objects as views have them: put together, resized, cut, mirrored, pasted over.

    Attributes:
        images: the source.
        settings: sizes and random changes.
        swaps: int64 [K], the class that each becomes in a mirror.
        draws: the views of training; None: images are read for evaluation alone.
        masks: unpack masks; without, objects come without them.
        crowd: keep regions with many objects as objects; else what lies on them is ignored.
        stride: height and width of a batch are multiples of it.
    """

    images: ImageSource
    settings: DetectionAugment
    swaps: Tensor
    draws: ViewDraws | None
    masks: bool
    crowd: bool
    stride: int = STRIDE

    def read(self, batches: Iterable[BatchIndices]) -> Iterator[DetectionBatch]:
        """Yield a uint8 batch for each of `batches`, read ahead by threads."""
        with ThreadPoolExecutor(_THREADS) as pool:
            waiting: deque[tuple[list[Future[tuple[Tensor, Objects]]], BatchIndices]] = deque()
            for batch in batches:
                views = [self._view(int(row), batch.epoch) for row in batch.index]
                waiting.append(([pool.submit(self.one, view) for view in views], batch))
                if len(waiting) > _AHEAD:
                    yield self._batch(*waiting.popleft())
            while waiting:
                yield self._batch(*waiting.popleft())

    def one(self, view: View) -> tuple[Tensor, Objects]:
        """Return an image uint8 [C, h, w] with its objects, both as the view has them."""
        pixels, objects = self._seen(view)
        objects = objects if self.masks else replace(objects, masks=None)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), objects

    def _seen(self, view: View) -> tuple[np.ndarray, Objects]:
        """Return an image uint8 [h, w, C] with its objects, masks unpacked where something needs them."""
        settings, visible = self.settings, self.settings.min_visible
        pixels, objects = self._stored(view.row)
        if view.mosaic is not None and settings.mosaic is not None:
            four = [(pixels, objects), *map(self._stored, view.mosaic.others)]
            pixels, objects = settings.mosaic.apply(four, view.mosaic.middle, visible)
        if view.jitter is not None and settings.scale_jitter is not None:
            pixels, objects = settings.scale_jitter.apply(pixels, objects, view.jitter, visible)
        else:
            pixels, objects = resize(pixels, objects, view.scale)
        if view.mirrored:
            pixels, objects = horizontal_flip(pixels, objects, self.swaps)
        if view.pasted is not None and settings.copy_paste is not None:
            random = np.random.default_rng(view.paste_seed)
            pixels, objects = settings.copy_paste.apply(pixels, objects, self._seen(view.pasted), random, visible)
        return pixels, objects

    def _stored(self, row: int) -> tuple[np.ndarray, Objects]:
        entry = self.images.entries[row]
        objects = entry.objects if self.crowd else entry.objects.without_crowd()
        unpacked = self.masks or (self.draws is not None and self.settings.copy_paste is not None)
        packed = objects.masks if unpacked and isinstance(objects.masks, tuple) else None
        return self.images.pixels(row), replace(objects, masks=None if packed is None else decode(packed, *entry.size))

    def _view(self, row: int, epoch: int | None) -> View:
        if epoch is not None and self.draws is not None:
            return self.draws.view(row, epoch)
        return View(row, scale=self.settings.scale(*self.images.entries[row].size, False, 0.0))

    def _batch(self, futures: list[Future[tuple[Tensor, Objects]]], batch: BatchIndices) -> DetectionBatch:
        read = [future.result() for future in futures]
        images, sizes = joined([image for image, _ in read], self.stride)
        numbers = batch.index.tolist()
        originals = torch.tensor([list(self.images.entries[row].size) for row in numbers])
        objects = tuple(objects for _, objects in read)
        return DetectionBatch(images, sizes, originals, objects, torch.tensor(numbers), batch.rows)


@dataclass(frozen=True)
class DetectionAugmenter(Augmenter[DetectionBatch]):
    """Normalizes training batches, which the reader has mirrored and resized already.

    Attributes:
        normalizer: the data set's normalization.
        seed: the run's.
        transform: the user's own augmentation; None: there is none.
    """

    normalizer: Normalizer
    seed: int
    transform: PlainTransform | None = None

    def __call__(self, batch: DetectionBatch, step: int, epoch: int) -> DetectionBatch:
        """Return the batch changed by the user's own augmentation, and normalized; see `Augmenter`."""
        return normalized(batch if self.transform is None else self._transformed(batch, step), self.normalizer)

    def _transformed(self, batch: DetectionBatch, step: int) -> DetectionBatch:
        assert self.transform is not None
        changed = [
            transform_objects(self.transform, image[:, :height, :width], one, self.seed, step, batch.rows.first + row)
            for row, (image, one, (height, width)) in enumerate(
                zip(batch.images, batch.objects, batch.sizes.tolist(), strict=True)
            )
        ]
        images, sizes = joined([image for image, _ in changed], STRIDE)
        return replace(batch, images=images, sizes=sizes, objects=tuple(objects for _, objects in changed))


def normalized(batch: DetectionBatch, normalizer: Normalizer) -> DetectionBatch:
    """Return the batch with float32 images, 0 beside the images."""
    images = normalizer(batch.images)
    for image, (height, width) in zip(images, batch.sizes.tolist(), strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return replace(batch, images=images)


class DetectionDataset(Dataset[DetectionBatch]):
    """An object detection data set with its splits, ready to be read.

    Args:
        classes: class names; a label is a position in it.
        sources: the images to train on, and those to score on.
        fingerprint: hexadecimal hash of images and annotations.
        mean: mean of each band that is subtracted, in 0..1.
        std: what they are divided by, in 0..1.
        splits: train, val and, where asked for, minival.
        augment: sizes and random changes.
        backend: how pixels are decoded.
        notices: what the reader should know, such as repaired annotations.
        category_ids: the number of each class in its annotations; None: from 1 on.
        maskless: the objects without a mask, where others have one.
        test: reads the images of the test split, which are never trained on; None: there is none.
        test_hint: what gives the set a test split, where it has none.
        channels: bands of the images.

    Raises:
        DataError: a pair of `augment.swap` does not fit the classes, or a split has no object that counts.
    """

    def __init__(
        self,
        *,
        classes: Sequence[str],
        sources: dict[Source, ImageSource],
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        splits: dict[str, Split],
        augment: DetectionAugment,
        backend: str,
        notices: Sequence[str] = (),
        category_ids: Sequence[int] | None = None,
        maskless: Sequence[str] = (),
        test: Callable[[], ImageSource] | None = None,
        test_hint: str | None = None,
        channels: int = 3,
    ) -> None:
        self.channels = channels
        super().__init__(classes=classes, splits=splits, fingerprint=fingerprint, mean=mean, std=std, backend=backend)
        self.category_ids, self.sources = tuple(category_ids or range(1, len(classes) + 1)), sources
        self._augment, self._swaps = augment, augment.swaps(classes)
        known = [entry.objects for source in sources.values() for entry in source.entries]
        self.has_masks = all(objects.masks is not None for objects in known)
        self.maskless, self._test, self.test_hint = tuple(maskless), test, test_hint
        if augment.copy_paste is not None and not self.has_masks:
            named = f": {listing(self.maskless)}" if self.maskless else ""
            raise DataError("Copy-paste needs a mask of every object", found=f"objects with boxes alone{named}",
                            do="set data.augment.copy_paste=null; data.augment.mosaic works with boxes")  # fmt: skip
        self._places: Tensor | None = None
        for split in splits:
            self._refuse_nothing(split, notices)
        self.notices = (*notices, *self.notices, *self._own_notices())

    def item_names(self, split: str, index: np.ndarray) -> tuple[str, ...]:
        """Return the images' files, or their row numbers where two have one name; see `Dataset.item_names`."""
        entries = self.sources[self.split(split).source].entries
        names = tuple(entries[int(row)].name for row in index)
        return names if len(set(names)) == len(names) else super().item_names(split, index)

    def _refuse_nothing(self, split: str, notices: Sequence[str] = ()) -> None:
        """Refuse a split without an object that is trained on or scored.

        Raises:
            DataError: names what is there instead.
        """
        entries = self.entries(split)
        objects = sum(len(entry.objects) for entry in entries)
        if any(not bool(entry.objects.crowd.all()) for entry in entries):
            return
        found = f"{counted(len(entries), 'image')} without any" if entries else "no images"
        if objects:
            ignored = f"{objects} crowd regions or difficult objects"
            found = f"{counted(len(entries), 'image')} with {ignored} alone, which are ignored"
        told = "".join(f"; {notice}" for notice in notices)
        left_out = "ablata data check lists what was left out, and why"
        if objects:
            left_out = "where they are objects, write iscrowd (or difficult) 0: some tools write 1 for every mask"
        if split == "train":
            raise DataError("A training set must have objects", found=f"{found}{told}", do=left_out)
        raise DataError(
            "A validation split must hold an object that counts in scores", found=f"{split}: {found}{told}",
            do="choose another data.split_seed, or a larger data.minival" if split == "minival"
            else left_out,
        )  # fmt: skip

    def split(self, name: str) -> Split:
        """Return a split by its name; that of the test set is read when it is first asked for.

        Raises:
            DataError: there is no such split, or its images cannot be scored.
        """
        if name != "test" or self._test is None:
            return super().split(name)
        if "test" not in self.sources:
            self.sources["test"] = self._test()
            self._relabel(self.sources["test"])
            self._refuse_nothing("test")
        return Split("test", np.arange(len(self.sources["test"].entries)))

    def test_fingerprint(self) -> str:
        """Return a hash of the images and objects of the test split, 16 hexadecimal digits.

        Raises:
            DataError: there is no such split.
        """
        content = hashlib.sha256()
        for row, entry in enumerate(self.entries("test")):
            objects = entry.objects
            content.update(self.sources["test"].digest(row).encode())
            for tensor in (objects.boxes, objects.labels, objects.crowd):
                content.update(tensor.numpy().tobytes())
            for mask in objects.masks if isinstance(objects.masks, tuple) else ():
                content.update(mask.counts)
        return f"test-{content.hexdigest()[:16]}"

    def image_ids(self, split: str) -> list[int | str]:
        """Return the set's own number or name of each image; row numbers where some have none, or two the same."""
        rows, own = self.split(split).index.tolist(), [one.id for one in self.entries(split)]
        given = [one for one in own if one is not None]
        return given if len(set(given)) == len(rows) else rows

    def match_classes(self, classes: Sequence[str]) -> None:
        """Put the classes, the same ones, into another order: that of a network that was trained on another set.

        Args:
            classes: their names; others than the set's change nothing.
        """
        if tuple(classes) == self.classes or sorted(classes) != sorted(self.classes):
            return
        self._places = torch.tensor([list(classes).index(name) for name in self.classes])
        self.category_ids = tuple(self.category_ids[self.classes.index(name)] for name in classes)
        self.classes, self._swaps = tuple(classes), self._augment.swaps(classes)
        for source in self.sources.values():
            self._relabel(source)

    def _relabel(self, source: ImageSource) -> None:
        if self._places is not None:
            source.entries = tuple(
                replace(entry, objects=replace(entry.objects, labels=self._places[entry.objects.labels]))
                for entry in source.entries
            )

    def entries(self, split: str) -> list[AnnotatedImage]:
        """Return the images of a split in the order of evaluation with one process.

        Raises:
            DataError: there is no such split.
        """
        chosen = self.split(split)
        return [self.sources[chosen.source].entries[row] for row in chosen.index]

    def presence(self, split: str) -> np.ndarray:
        """Return int64 [n, K], how many objects of each class, ignored ones left out, are on each image of a split."""
        counted = [entry.objects.labels[~entry.objects.crowd].numpy() for entry in self.entries(split)]
        rows = [np.bincount(labels, minlength=len(self.classes)) for labels in counted]
        return np.stack(rows).astype(np.int64)

    def reader(self, source: Source, *, training: bool, seed: int, device: torch.device) -> ViewReader:
        """Return a reader of a source: with masks and without crowd regions in training, else the other way round."""
        draws = self._draws(seed) if training else None
        masks = training and self.has_masks
        return ViewReader(self.sources[source], self._augment, self._swaps, draws, masks, crowd=not training)

    def _draws(self, seed: int) -> ViewDraws:
        trained = self.split("train").index
        entries = self.sources["train"].entries
        counted = [row for row in trained.tolist() if not bool(entries[row].objects.crowd.all())]
        return ViewDraws(self._augment, seed, [one.size for one in entries], trained, np.array(counted))

    def augmenter(self, seed: int, channels_last: bool = False) -> DetectionAugmenter:
        """Return the user's own augmentation and the normalization; other changes are made while images are read."""
        return DetectionAugmenter(self.normalizer(channels_last), seed, self._augment.transform)

    def prepare(self, batch: DetectionBatch, channels_last: bool = False) -> DetectionBatch:
        """Return the batch normalized, 0 beside the images; see `Dataset.prepare`."""
        return batch if batch.images.dtype != torch.uint8 else normalized(batch, self.normalizer(channels_last))

    def train_loader(
        self,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        masks: bool = True,
    ) -> TrainLoader[DetectionBatch]:
        """Return this process's training batches; see `Dataset.train_loader`.

        Args:
            seed: the run's seed.
            batch_size: rows of the global batch.
            rank: this process.
            world_size: number of processes.
            device: where batches are put.
            channels_last: memory format of the images.
            masks: whether masks are wanted; False spares unpacking them.

        Raises:
            DataError: the batch does not divide among the processes, or the training set is smaller than a batch.
        """
        loader = super().train_loader(seed, batch_size, rank, world_size, device, channels_last)
        if masks or not isinstance(loader.reader, ViewReader):
            return loader
        return replace(loader, reader=replace(loader.reader, masks=False))

    def _own_notices(self) -> Iterator[str]:
        for split in self.splits:
            counts = self.presence(split)
            empty = int((counts.sum(1) == 0).sum())
            if empty:
                images = counted(len(counts), "image")
                yield f"{empty} of {images} of {split} without objects; they count like the others"
            if absent := [name for name, count in zip(self.classes, counts.sum(0), strict=True) if not count]:
                yield f"classes without an object in {split}: {listing(absent)}"
