"""Semantic segmentation from folders: images/train/NAME.jpg with labels/train/NAME.png, and the same for val."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.base.settings import INCIDENTAL, ON_DISK
from ablata.data.io.crop import backend_name
from ablata.data.io.masks import tell_of_one_page
from ablata.data.io.read_settings import ImageReadSettings
from ablata.data.labels.class_lists import find_list, read_list
from ablata.data.labels.layout import (
    FolderNames,
    LabeledFolder,
    Sample,
    find_labeled_folder,
    is_labelled,
    layout_splits,
    propose_suffixes,
)
from ablata.data.labels.map import MAP_FILE
from ablata.data.labels.split_lists import split_name
from ablata.data.labels.splitting import SplitRule, divided
from ablata.data.labels.table import LabelTable
from ablata.data.loading.band_constants import constants_of
from ablata.data.loading.cache import combined, file_digests, folder_digest
from ablata.data.loading.dataset import NominalShape, SegmentationSettings
from ablata.data.loading.shared_images import tell_shared
from ablata.data.loading.splits import SOURCES, Source, Split, make_splits
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.segmentation.store import Pair, PairStore, decoded_pairs
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD
from ablata.data.transforms.segmentation import JointAugment

LAYOUT = "images/train, images/val, labels (or masks) with the same names, and label_map.yaml or classes.txt"
Pairs: TypeAlias = dict[Source, list[Pair]]


@dataclass(frozen=True)
class PairFiles:
    """The files of a segmentation data set.

    Attributes:
        root: the folder that holds them.
        pairs: the files of each source.
        table: the classes.
        splits: which of them are in which split.
        more: other files of the content.
        notices: what the reader should know.
    """

    root: Path
    pairs: Pairs
    table: LabelTable
    splits: dict[str, Split]
    more: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()


class SegmentationFileSettings(ImageReadSettings, SegmentationSettings):
    """Settings of segmentation data sets in files; the base of several, not itself a choice."""

    kind: str
    """Which set."""
    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """The folder, or a zip of it; a name alone is looked for under ABLATA_DATA."""
    minival: int | float = 0
    """Samples (or a fraction, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    void: Literal["ignore", "class"] = "ignore"
    """Whether ignored raw values count nowhere, or are one more class to be trained, `void`."""
    augment: JointAugment = JointAugment(flip=True)
    """Augmentation of training batches."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Mean of red, green, blue over the training set, in 0..1; of another number of bands those of the training set are
    measured where ImageNet's stand here."""
    std: tuple[float, ...] = IMAGENET_STD
    """Standard deviation of red, green, blue, in 0..1."""

    @abstractmethod
    def find(self, cache: Path) -> PairFiles:
        """Find the files and what their values mean; `cache` is where zips are unpacked.

        Raises:
            DataError: the files or the class list are not there, or something stands alone.
        """

    def build(self, cache: Path) -> SegmentationDataset:
        """Find the set, decode it the first time, and put both sources together.

        Raises:
            DataError: see `find` and `decoded_pairs`.
        """
        found = self.find(cache)
        if len(found.table.names) < 2:
            raise DataError(ONE_CLASS, found=f"{found.root}: {listing(found.table.names)} alone", do=ONE_CLASS_ADVICE)
        table = found.table.with_void_class() if self.void == "class" else found.table
        pairs, sources, rules = found.pairs, SOURCES, self.image_rules()
        train, val = ([pair.image for pair in pairs[source]] for source in sources)
        shared = tell_shared(train, val, file_digests(found.root, [*train, *val], cache))
        masks = [pair.mask for source in sources for pair in pairs[source] if pair.mask is not None]
        digests = {source: _digest(found, source, cache) for source in sources}
        stores = {source: decoded_pairs(digests[source][:32], pairs[source], table, cache, rules) for source in sources}
        own = [folder_digest(file.parent, [file], cache) for file in found.more]
        splits, later = dict(found.splits), dict[Source, Callable[[], PairStore]]()
        if test := pairs.get("test"):
            splits["test"] = Split("test", np.arange(len(test), dtype=np.int64))
            later["test"] = lambda: decoded_pairs(_digest(found, "test", cache)[:32], test, table, cache, rules)
        rows = found.splits["train"].index
        mean, std = constants_of(
            self.mean, self.std, stores["train"].channels, lambda: stores["train"].statistics(rows)
        )
        data = SegmentationDataset(
            stores,
            table,
            splits=splits,
            fingerprint=combined([*digests.values(), *own]),
            mean=mean,
            std=std,
            augment=self.augment,
            backend=backend_name("pil", None, orientation=self.orientation),
            notices=(*shared, *found.notices, *tell_of_one_page(masks, rules)),
            later=later,
            names={source: [_name(pair.image, found.root) for pair in pairs[source]] for source in pairs},
            test_digest=partial(_digest, found, "test", cache) if later else str,
        )
        _refuse_pointless(data, found.root)
        return data


ONE_CLASS = "A set must have two classes or more: with one, every pixel that counts is right, and mIoU is 100"
ONE_CLASS_ADVICE = "make the rest a class of its own, such as background: in the label map, an id and no `ignore: true`"


def _name(image: Path, root: Path) -> str:
    return (image.relative_to(root) if image.is_relative_to(root) else image).as_posix()


def _digest(found: PairFiles, source: Source, cache: Path) -> str:
    files = [file for pair in found.pairs[source] for file in (pair.image, pair.mask) if file is not None]
    return folder_digest(found.root, files, cache)


def _refuse_pointless(data: SegmentationDataset, root: Path) -> None:
    """Check that there is something to learn, and something to score.

    Raises:
        DataError: the training masks hold one class, or those to score on no pixel that counts.
    """
    for split in ("train", "val", "minival"):
        if split not in data.splits:
            continue
        there = [name for name, count in zip(data.classes, data.pixel_counts(split).tolist(), strict=False) if count]
        if not there:
            raise DataError(f"The masks of {split} must have pixels that count", found=f"{root}: all are ignored",
                            do=f"label them, or draw another split: ablata data convert {root} --map FILE --val 0.2 "
                            "--output NEW_FOLDER")  # fmt: skip
        if split == "train" and len(there) < 2:
            raise DataError("The training masks must hold two classes or more", found=f"{root}: {there[0]} alone",
                            do=ONE_CLASS_ADVICE)  # fmt: skip


class MaskFolder(SplitRule, SegmentationFileSettings):
    """Mask folder: images and masks of the same names; what the masks' values mean stands in a label map or list.

    Understood are images/train with labels/train, train/images with train/labels, and images with labels alone, which
    are divided by a list or by a rule, under their usual names.
    """

    kind: Literal["mask_folder"] = "mask_folder"
    map: Annotated[str | None, ON_DISK] = None
    """Label map (.yaml), or class list with a line `ID NAME` or `#RRGGBB NAME` for each class, or names alone; null:
    label_map.yaml in the folder, else classes.txt, classes.json, or what CVAT exports."""
    ignored: tuple[str, ...] = ()
    """Names of a class list (in any case) whose pixels are ignored, beside void, unlabelled, ignore and the like; a
    label map says so itself."""
    images: str | None = None
    """What the folders of images are called; null: images, image, img and the like."""
    labels: str | None = None
    """What the folders of masks are called; null: labels, label, masks, annotations and the like."""
    mask_suffix: str = ""
    """What stands behind an image's name in its mask's: _mask for NAME_mask.png, .jpg for NAME.jpg.png."""
    image_suffix: Annotated[str, INCIDENTAL] = ""
    """What stands behind the common name in an image's: _sat for NAME_sat.jpg with data.mask_suffix=_mask."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return is_labelled(folder)

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 19 classes of Cityscapes."""
        crop = self.augment.crop
        height, width = (crop.height, crop.width) if crop else (512, 512)
        return NominalShape(classes=19 + (self.void == "class"), channels=self.band_count, height=height, width=width)

    def folder_names(self) -> FolderNames:
        """Return what the folders and the masks are called."""
        return FolderNames(self.images, self.labels, self.mask_suffix, self.image_suffix)

    def find(self, cache: Path) -> PairFiles:
        """Find the files and what their values mean.

        Raises:
            DataError: the layout, a split or the class list is not there, or an image or a mask stands alone.
        """
        if self.root is None:
            raise DataError(f"This data set needs a folder: {LAYOUT}", found="data.root is not set",
                            do="set data.root=FOLDER")  # fmt: skip
        labelled = find_labeled_folder(self.root, self.folder_names(), cache)
        labelled, drawn = self._divided(labelled)
        pairs, notices = strict_pairs(labelled)
        file, table = self._table(labelled.root)
        splits = make_splits(np.zeros(len(pairs["train"]), np.int64), len(pairs["val"]), self.minival, self.split_seed)
        return PairFiles(labelled.root, pairs, table, splits, (file,), (*drawn, *notices))

    def _divided(self, labelled: LabeledFolder) -> tuple[LabeledFolder, tuple[str, ...]]:
        """Return the files with a split each, drawn where the folder has none to score on, and what to tell of it.

        A draw does not look into the masks: it keeps groups together, and takes no heed of classes.

        Raises:
            DataError: nothing would be left to train on, or to score on.
        """
        self.groups((), labelled.root)  # a column that is not there is refused where nothing is drawn, too
        samples = labelled.samples
        said = {sample.split for sample in samples}
        if self.val_match is None and {"train", "val"} <= said:
            return labelled, ()
        names = [_name(sample.image or sample.label or labelled.root, labelled.root) for sample in samples]
        none = np.zeros((len(samples), 1), dtype=bool)
        made = divided(self, names, [sample.split for sample in samples], none, self.split_seed, labelled.root)
        own = tuple(replace(sample, split=split) for sample, split in zip(samples, made.splits, strict=True))
        return replace(labelled, samples=own), made.notices

    def _table(self, root: Path) -> tuple[Path, LabelTable]:
        file = Path(self.map).expanduser() if self.map else find_list(root)
        if file is None:
            raise DataError(
                "What the masks' values mean must be known: a label map, or a class list `ID NAME`",
                found=f"no {MAP_FILE} and no classes.txt in {root}",
                do=f"ablata data check {self.root} --propose-map map.yaml; ablata data convert {self.root} "
                "--map map.yaml --output NEW_FOLDER; then data.root=NEW_FOLDER",
            )
        return file, read_list(file, self.ignored).table()


def labeled_folder_of(found: PairFiles) -> LabeledFolder:
    """Return the files of a set as a check of label files takes them; their folder is the source folder."""
    samples = []
    for source, pairs in found.pairs.items():
        for pair in pairs:
            file = pair.mask if pair.mask is not None and pair.mask.is_relative_to(found.root) else pair.image
            name = file.relative_to(found.root).with_suffix("").as_posix()
            folder = "" if split_name(file.parent.name) else file.parent.name
            samples.append(Sample(source, folder, name, pair.image, pair.mask))
    return LabeledFolder(found.root, tuple(samples))


def has_masks(folder: Path) -> bool:
    """Tell whether a folder has images with masks beside them, in train and val."""
    return {"train", "val"} <= layout_splits(folder)


def strict_pairs(labelled: LabeledFolder) -> tuple[Pairs, tuple[str, ...]]:
    """Return the pairs of each source in the order of their names, and notices of what does not count.

    Images of a test split may be without masks: they count nowhere.

    Raises:
        DataError: a source is empty, or an image or a mask stands alone.
    """
    root, pairs = labelled.root, Pairs()
    suffixes = propose_suffixes(labelled).settings
    for source in SOURCES:
        samples = [sample for sample in labelled.samples if sample.split == source]
        alone = [sample for sample in samples if sample.image is None or sample.label is None]
        if alone:
            shown = [f"{one.name} has no {'mask' if one.label is None else 'image'}" for one in alone[:5]]
            left = f"ablata data convert {root} --map FILE --paired-only --output NEW_FOLDER"
            raise DataError(
                "Every image must have a mask of its name, and every mask an image",
                found=f"{root}, {source}: {listing(shown)}{f' ({len(alone)} such files)' if len(alone) > 5 else ''}",
                do=f"set {' '.join(suffixes)}" if suffixes else f"add what is missing, or: {left}",
            )
        if not samples:
            raise DataError(
                "A set must have images for training and for validation",
                found=f"{root}: none in {source}",
                do=f"ablata data convert {root} --map FILE --val 0.2 --output NEW_FOLDER draws a split",
            )
        pairs[source] = [Pair(sample.image, sample.label) for sample in samples if sample.image and sample.label]
    test = [Pair(sample.image, sample.label) for sample in labelled.samples if sample.split == "test" and sample.image]
    notices = labelled.notices()
    if test:
        pairs["test"] = test
        bare = sum(pair.mask is None for pair in test)
        notices += (
            (f"test: {bare} of {counted(len(test), 'image')} without a mask; such count nowhere",) if bare else ()
        )
    return pairs, notices
