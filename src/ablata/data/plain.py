"""Plain torch data sets: `data=mine.py:Shapes data.size=32`, `data=torchvision.datasets:MNIST data.root=FOLDER`.

A map-style `torch.utils.data.Dataset` class, or a function that returns such a set, needs no settings class. It is
called twice, with `split="train"` and `split="val"`, or as torchvision's sets with `train=True` and `train=False`; its
other arguments are the settings. An attribute `classes` names the classes. An item is

    classification    (image, label)     label: position of the class
    segmentation      (image, mask)      mask: [H, W], positions of classes, 255 where a pixel does not count
    re-identification (image, sighting)  sighting: identity and camera; see plain_identities.py
    detection         (image, target)    target: dict of boxes [N, 4] (left, top, right, bottom in pixels), labels [N],
                                         and masks [N, H, W] where there are any

An image is a PIL image, an array [H, W] or [H, W, C], or a tensor [C, H, W]; 8-bit, or float in [0, 1]. All items are
read once and kept in memory as 8-bit pixels, so nothing has to be sent to worker processes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
from pydantic import Field

from ablata.base.errors import DataError, SettingsError, listing
from ablata.base.parts import PlainPart, settings_for, users_mistakes
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset, ImageSource
from ablata.data.detection.rle import encode
from ablata.data.labels.table import LabelTable, default_palette
from ablata.data.loading.dataset import GIVEN as GIVEN_PIXELS
from ablata.data.loading.dataset import DataSettings, NominalShape
from ablata.data.loading.in_memory import ImageArrays, InMemoryDataset
from ablata.data.loading.splits import Source, make_splits
from ablata.data.plain_items import as_pixels, content_digest, in_color, in_words
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.segmentation.store import PairStore
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.segmentation import JointAugment
from ablata.structures.detection import Objects
from ablata.structures.ignore import IGNORE

D = TypeVar("D", bound="PlainSource")
GIVEN = ("split", "train")
"""Arguments of which a data set must take one; they are given."""


class PlainSource(PlainPart):
    """Reading a plain data set, whatever belongs to its images; not itself a choice."""

    def source(self, name: Source) -> Any:
        """Return the user's data set for training or validation.

        Raises:
            DataError: it has no items, or cannot be indexed.
        """
        by_split = "split" in inspect.signature(self.THING).parameters
        with users_mistakes(self, f"give the {name} split"):
            made = self.THING(**self.arguments(), **({"split": name} if by_split else {"train": name == "train"}))
        if not hasattr(made, "__getitem__") or not hasattr(made, "__len__"):
            raise DataError(
                "A data set must be map-style: with __getitem__ and __len__",
                found=f"{self.kind} gave {type(made).__name__} for {name}",
                do="write __len__, and __getitem__ of a position",
            )
        if not len(made):
            raise DataError(
                "A data set must have items",
                found=f"{self.kind} is empty for {name}",
                do="look where it reads them from",
            )
        return made

    def items(self, name: Source) -> list[tuple[np.ndarray, Any]]:
        """Return all images of a source, uint8 [H, W, C], with what belongs to each.

        Raises:
            DataError: an item is no pair, or its image is of no form that is taken.
        """
        made = self.source(name)
        found = []
        for row in range(len(made)):
            with users_mistakes(self, f"give item {row} of {name}"):
                item = made[row]
            if not isinstance(item, tuple | list) or len(item) != 2:
                raise DataError(
                    "An item of a data set must be a pair: an image and what belongs to it",
                    found=f"{self.kind}, {name} {row}: {type(item).__name__}",
                    do="return (image, label)",
                )
            found.append((as_pixels(item[0], f"{self.kind}, {name} {row}"), item[1]))
        channels = {pixels.shape[2] for pixels, _ in found}
        if len(channels) > 1:
            raise DataError(
                "All images of a data set must have as many channels",
                found=f"{self.kind}, {name}: {sorted(channels)}",
                do='convert them to one mode: image.convert("RGB")',
            )
        return found


class PlainData(PlainSource, DataSettings):
    """What the settings of plain data sets with classes have in common; not itself a choice."""

    minival: int | float = 0
    """Samples (or a fraction, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    mean: tuple[float, ...] | None = None
    """Mean of each channel in 0..1; null: that of the training images."""
    std: tuple[float, ...] | None = None
    """Standard deviation of each channel in 0..1; null: that of the training images."""

    def names(self, highest: int) -> tuple[str, ...]:
        """Return the names of the classes: the set's attribute `classes`, else numbers up to the highest label."""
        named = getattr(self.source("train"), "classes", None)
        if named is None:
            return tuple(map(str, range(highest + 1)))
        return tuple(map(str, named))

    def statistics(self, images: Sequence[np.ndarray]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of each channel over images uint8 [H, W, C]: as set, or as they are."""
        pixels = np.concatenate([image.reshape(-1, image.shape[2]) for image in images]).astype(np.float64) / 255
        mean = self.mean or tuple(round(float(value), 4) for value in pixels.mean(0))
        std = self.std or tuple(max(round(float(value), 4), 1e-3) for value in pixels.std(0))
        return mean, std

    def refuse_labels(self, labels: np.ndarray, classes: int, what: str) -> None:
        """Check that labels are positions of classes.

        Raises:
            DataError: one is not.
        """
        wrong = labels[(labels < 0) | (labels >= classes)]
        if len(wrong):
            raise DataError(
                f"A label must be the position of its class, from 0 to {classes - 1}",
                found=f"{self.kind}, {what}: {int(wrong[0])}",
                do="count from 0, without a class for the background",
            )


class PlainImages(PlainData):
    """Settings of a plain set of images with one label each."""

    augment: Augment = Augment()
    """Augmentation of training batches."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        item = self.source("train")[0]
        height, width, channels = as_pixels(item[0], f"{self.kind}, train 0").shape
        named = getattr(self.source("train"), "classes", None)
        classes = len(named) if named is not None else len(self.build(Path()).classes)
        return NominalShape(classes, channels, height, width)

    def build(self, cache: Path) -> InMemoryDataset:
        """Read the set into memory.

        Raises:
            DataError: an item does not fit.
        """
        stores: dict[Source, ImageArrays] = {}
        sources: tuple[Source, Source] = ("train", "val")
        for name in sources:
            items = self.items(name)
            sizes = {pixels.shape for pixels, _ in items}
            if len(sizes) > 1:
                shown = ", ".join(f"{height}x{width}" for height, width, _ in sorted(sizes)[:5])
                raise DataError(
                    "Images of a plain data set must have one size",
                    found=f"{self.kind}, {name}: {shown} (height x width)",
                    do="resize them in the data set",
                )
            labels = np.array([_whole(label, f"{self.kind}, {name} {row}") for row, (_, label) in enumerate(items)])
            images = np.stack([pixels for pixels, _ in items]).transpose(0, 3, 1, 2)
            stores[name] = ImageArrays(np.ascontiguousarray(images), labels.astype(np.int64))
        train, val = stores["train"], stores["val"]
        classes = self.names(int(max(train.labels.max(), val.labels.max())))
        for name, store in stores.items():
            self.refuse_labels(store.labels, len(classes), name)
        mean, std = self.statistics(list(train.images.transpose(0, 2, 3, 1)))
        return InMemoryDataset(
            train,
            val,
            classes=classes,
            fingerprint=content_digest([train.images, train.labels, val.images, val.labels], classes),
            mean=mean,
            std=std,
            minival=self.minival,
            split_seed=self.split_seed,
            augment=self.augment,
            backend=GIVEN_PIXELS,
        )


class PlainMasks(PlainData):
    """Settings of a plain segmentation set."""

    augment: JointAugment = JointAugment()
    """Augmentation of training batches."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        built = self.build(Path())
        return NominalShape(len(built.classes), built.channels, *built.image_size)

    def build(self, cache: Path) -> SegmentationDataset:
        """Read the set into memory.

        Raises:
            DataError: an item does not fit.
        """
        stores: dict[Source, PairStore] = {}
        images: dict[Source, list[np.ndarray]] = {}
        masks: dict[Source, list[np.ndarray]] = {}
        sources: tuple[Source, Source] = ("train", "val")
        for name in sources:
            items = self.items(name)
            images[name] = [in_color(pixels) for pixels, _ in items]
            masks[name] = [
                _mask(mask, pixels, f"{self.kind}, {name} {row}") for row, (pixels, mask) in enumerate(items)
            ]
        present = np.unique(np.concatenate([np.unique(mask) for name in sources for mask in masks[name]]))
        present = present[present != IGNORE]
        classes = self.names(int(present.max()) if len(present) else 0)
        self.refuse_labels(present, len(classes), "masks")
        for name in sources:
            planes = [
                np.concatenate([pixels.transpose(2, 0, 1), mask[None].astype(np.uint8)]).reshape(-1)
                for pixels, mask in zip(images[name], masks[name], strict=True)
            ]
            stores[name] = PairStore(
                np.concatenate(planes),
                np.array([mask.shape for mask in masks[name]], dtype=np.int64),
                np.stack([np.bincount(mask.reshape(-1), minlength=IGNORE + 1) for mask in masks[name]]).astype(
                    np.int64
                ),
            )
        mean, std = self.statistics(images["train"])
        numbers = tuple(range(len(classes)))
        return SegmentationDataset(
            stores,
            LabelTable("ids", classes, numbers, (IGNORE,), default_palette(len(classes))),
            splits=make_splits(
                np.zeros(len(masks["train"]), np.int64), len(masks["val"]), self.minival, self.split_seed
            ),
            fingerprint=content_digest([stores[name].planes for name in sources], classes),
            mean=mean,
            std=std,
            augment=self.augment,
            backend=GIVEN_PIXELS,
        )


class InMemorySource(ImageSource):
    """Images with objects in memory.

    Args:
        images: uint8 [H, W, 3] each.
        entries: what is on them.
    """

    def __init__(self, images: Sequence[np.ndarray], entries: Sequence[AnnotatedImage]) -> None:
        self._images, self.entries = images, tuple(entries)

    def pixels(self, row: int) -> np.ndarray:
        """Return uint8 [H, W, 3]."""
        return self._images[row]


class PlainObjects(PlainData):
    """Settings of a plain detection set."""

    augment: DetectionAugment = DetectionAugment(flip=True)
    """Sizes and random changes of training images."""

    def class_count(self) -> int:
        """Return the number of classes."""
        return len(self.build(Path()).classes)

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        height, width, _ = self.items("train")[0][0].shape
        return NominalShape(self.class_count(), 3, height, width)

    def has_masks(self) -> bool:
        """Tell whether objects have masks, as the first item has them or not."""
        return "masks" in self.source("train")[0][1]

    def build(self, cache: Path) -> DetectionDataset:
        """Read the set into memory.

        Raises:
            DataError: an item does not fit.
        """
        read: dict[Source, tuple[list[np.ndarray], list[AnnotatedImage]]] = {}
        sources: tuple[Source, Source] = ("train", "val")
        count, every = 0, []
        for name in sources:
            images, entries = [], []
            for row, (pixels, target) in enumerate(self.items(name)):
                where = f"{self.kind}, {name} {row}"
                objects = _objects(target, pixels.shape[:2], count, where)
                count += len(objects)
                images.append(in_color(pixels))
                entries.append(AnnotatedImage(f"{name} {row}", (pixels.shape[0], pixels.shape[1]), objects))
            read[name] = images, entries
            every += entries
        labels = np.concatenate([entry.objects.labels.numpy() for entry in every])
        classes = self.names(int(labels.max()) if len(labels) else 0)
        self.refuse_labels(labels, len(classes), "labels")
        mean, std = self.statistics(read["train"][0])
        content = [array for images, _ in read.values() for array in images]
        content += [entry.objects.boxes.numpy() for entry in every] + [labels]
        rows = np.zeros(len(read["train"][0]), np.int64)
        return DetectionDataset(
            classes=classes,
            sources={name: InMemorySource(*read[name]) for name in sources},
            fingerprint=content_digest(content, classes),
            mean=mean,
            std=std,
            splits=make_splits(rows, len(read["val"][0]), self.minival, self.split_seed),
            augment=self.augment,
            backend=GIVEN_PIXELS,
        )


def images(thing: Any, reference: str) -> type[PlainImages]:
    """Return the settings class of a plain set of images with labels.

    Raises:
        SettingsError: it is neither a class nor a function, or takes neither split nor train.
    """
    return plain_settings(PlainImages, thing, reference)


def masks(thing: Any, reference: str) -> type[PlainMasks]:
    """Return the settings class of a plain segmentation set; see `images`."""
    return plain_settings(PlainMasks, thing, reference)


def objects(thing: Any, reference: str) -> type[PlainObjects]:
    """Return the settings class of a plain detection set; see `images`."""
    return plain_settings(PlainObjects, thing, reference)


def plain_settings(base: type[D], thing: Any, reference: str) -> type[D]:
    """Return the settings class of a plain set, derived from `base`; see `images`."""
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        raise SettingsError(
            "A data set must be a torch Dataset class, or a function that returns one",
            found=reference,
            do="derive a class from torch.utils.data.Dataset, with __len__ and __getitem__",
        )
    taken = tuple(inspect.signature(thing).parameters)
    if not set(GIVEN) & set(taken):
        raise SettingsError(
            "A data set must take split, which is 'train' or 'val', or train, which is true or false",
            found=f"{reference} takes {listing(taken)}",
            do="add the argument split: str",
        )
    own = ("transform", "target_transform", "transforms", "download")
    return settings_for(base, thing, reference, GIVEN + own, incidental=("root",))


def _whole(label: Any, where: str) -> int:
    value = label.item() if isinstance(label, torch.Tensor | np.generic | np.ndarray) and np.size(label) == 1 else label
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(
            "A label must be a whole number",
            found=f"{where}: {in_words(label)}",
            do="return the position of the class in `classes`, from 0",
        )
    return value


def _mask(mask: Any, pixels: np.ndarray, where: str) -> np.ndarray:
    array = np.asarray(mask)
    array = array[0] if array.ndim == 3 and array.shape[0] == 1 else array
    if array.shape != pixels.shape[:2] or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            "A mask must hold whole numbers [H, W], as high and wide as its image",
            found=f"{where}: {array.dtype} {array.shape} for an image of {pixels.shape[:2]}",
            do="return such an array from the data set",
        )
    if array.min() < 0 or array.max() > IGNORE:
        raise DataError(
            f"A mask must hold labels from 0 to {IGNORE}",
            found=f"{where}: {array.min()} to {array.max()}",
            do=f"number the classes from 0; {IGNORE} is for pixels that do not count",
        )
    labels: np.ndarray = array.astype(np.int64)
    return labels


def _objects(target: Any, size: tuple[int, ...], first: int, where: str) -> Objects:
    if not isinstance(target, dict) or not {"boxes", "labels"} <= set(target):
        raise DataError(
            "A target must be a dict with boxes and labels",
            found=f"{where}: {in_words(target)}",
            do='return {"boxes": [N, 4], "labels": [N]}',
        )
    boxes = torch.as_tensor(target["boxes"], dtype=torch.float32).reshape(-1, 4)
    labels = torch.as_tensor(target["labels"], dtype=torch.int64).reshape(-1)
    height, width = size
    if len(boxes) != len(labels):
        raise DataError(
            "Each box must have its label",
            found=f"{where}: {len(boxes)} boxes, {len(labels)} labels",
            do="return as many labels as boxes",
        )
    inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2] <= width) & (boxes[:, 3] <= height)
    fits = inside & (boxes[:, 2:] > boxes[:, :2]).all(1)  # nan fits nowhere
    if not bool(fits.all()):
        wrong = boxes[~fits][0].tolist()
        raise DataError(
            "A box must be left, top, right, bottom in pixels, inside its image and not empty",
            found=f"{where}: {wrong} in an image {height} high and {width} wide",
            do="clip the boxes to the image, and leave empty ones out",
        )
    masks = None
    if "masks" in target:
        array = np.asarray(target["masks"], dtype=np.uint8).reshape(-1, height, width)
        if len(array) != len(labels):
            raise DataError(
                "Each box must have its mask",
                found=f"{where}: {len(array)} masks, {len(labels)} boxes",
                do="return as many masks as boxes, or none",
            )
        masks = encode(array)
    ids = torch.arange(first, first + len(labels))
    crowd = torch.as_tensor(target.get("iscrowd", [0] * len(labels))).reshape(-1).bool()
    if len(crowd) != len(labels):
        raise DataError(
            "Each box must have its iscrowd",
            found=f"{where}: {len(crowd)} flags, {len(labels)} boxes",
            do="return as many flags as boxes, or none",
        )
    return Objects(boxes, labels, masks, ids, crowd)
