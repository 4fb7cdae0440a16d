"""Semantic segmentation from folders: images/train/NAME.jpg with labels/train/NAME.png, and the same for val."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.io.crop import backend_name
from ablata.data.labels.class_lists import find_list
from ablata.data.labels.layout import FolderNames, LabeledFolder, Sample, find_labeled_folder, layout_splits, split_name
from ablata.data.labels.map import MAP_FILE, read_label_map
from ablata.data.labels.table import LabelTable, read_table
from ablata.data.loading.cache import combined, folder_digest
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.splits import SOURCES, Source, Split, make_splits
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.segmentation.store import Pair, decoded_pairs
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


class SegmentationFileSettings(Settings):
    """Settings of segmentation data sets in files; the base of several, not itself a choice."""

    kind: str
    """Which set."""
    root: Annotated[str | None, INCIDENTAL] = None
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
    """Mean of red, green, blue over the training set, in 0..1."""
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
        table = found.table.with_void_class() if self.void == "class" else found.table
        pairs, sources = found.pairs, SOURCES
        files = {source: [file for pair in pairs[source] for file in (pair.image, pair.mask)] for source in sources}
        digests = {source: folder_digest(found.root, files[source], cache) for source in sources}
        stores = {source: decoded_pairs(digests[source][:32], pairs[source], table, cache) for source in sources}
        own = [folder_digest(file.parent, [file], cache) for file in found.more]
        return SegmentationDataset(
            stores,
            table,
            splits=found.splits,
            fingerprint=combined([*digests.values(), *own]),
            mean=self.mean,
            std=self.std,
            augment=self.augment,
            backend=backend_name("pil", None),
            notices=found.notices,
        )


class MaskFolder(SegmentationFileSettings):
    """Mask folder: images and masks of the same names; what the masks' values mean stands in a label map or list.

    Understood are images/train with labels/train, and train/images with train/labels, under their usual names.
    """

    kind: Literal["mask_folder"] = "mask_folder"
    map: str | None = None
    """Label map (.yaml), or class list with a line `ID NAME` or `#RRGGBB NAME` for each class; null: label_map.yaml in
    the folder, else classes.txt."""
    ignored: tuple[str, ...] = ()
    """Names of a class list (in any case) whose pixels are ignored; a label map says so itself."""
    images: str | None = None
    """What the folders of images are called; null: images, image, img and the like."""
    labels: str | None = None
    """What the folders of masks are called; null: labels, label, masks, annotations and the like."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 19 classes of Cityscapes."""
        crop = self.augment.crop
        height, width = (crop.height, crop.width) if crop else (512, 512)
        return NominalShape(classes=19 + (self.void == "class"), channels=3, height=height, width=width)

    def find(self, cache: Path) -> PairFiles:
        """Find the files and what their values mean.

        Raises:
            DataError: the layout, a split or the class list is not there, or an image or a mask stands alone.
        """
        names = FolderNames(self.images, self.labels)
        if self.root is None:
            raise DataError(f"This data set needs a folder: {LAYOUT}", found="data.root is not set",
                            do="set data.root=FOLDER")  # fmt: skip
        labelled = find_labeled_folder(self.root, names, cache)
        pairs, notices = strict_pairs(labelled)
        file, table = self._table(labelled.root)
        splits = make_splits(np.zeros(len(pairs["train"]), np.int64), len(pairs["val"]), self.minival, self.split_seed)
        return PairFiles(labelled.root, pairs, table, splits, (file,), notices)

    def _table(self, root: Path) -> tuple[Path, LabelTable]:
        file = Path(self.map).expanduser() if self.map else find_list(root)
        if file is None or file.suffix == ".json":
            raise DataError(
                "What the masks' values mean must be known: a label map, or a class list `ID NAME`",
                found=f"no {MAP_FILE} and no classes.txt in {root}",
                do=f"ablata data check {self.root} --propose-map map.yaml; ablata data convert {self.root} "
                "--map map.yaml --output NEW_FOLDER; then data.root=NEW_FOLDER",
            )
        if file.suffix not in (".yaml", ".yml"):
            return file, read_table(file, self.ignored)
        if self.ignored:
            raise DataError("data.ignored is for class lists", found=f"data.ignored beside {file}",
                            do="write `ignore: true` in the label map")  # fmt: skip
        return file, read_label_map(file).table()


def labeled_folder_of(found: PairFiles) -> LabeledFolder:
    """Return the files of a set as a check of label files takes them; their folder is the source folder."""
    samples = []
    for source in SOURCES:
        for pair in found.pairs[source]:
            name = pair.mask.relative_to(found.root).with_suffix("").as_posix()
            folder = "" if split_name(pair.mask.parent.name) else pair.mask.parent.name
            samples.append(Sample(source, folder, name, pair.image, pair.mask))
    return LabeledFolder(found.root, tuple(samples), (), ())


def has_masks(folder: Path) -> bool:
    """Tell whether a folder has images with masks beside them, in train and val."""
    return {"train", "val"} <= layout_splits(folder)


def strict_pairs(labelled: LabeledFolder) -> tuple[Pairs, tuple[str, ...]]:
    """Return the pairs of both sources in the order of their names, and notices of files that are no images.

    Raises:
        DataError: a source is empty, or an image or a mask stands alone.
    """
    root, pairs = labelled.root, Pairs()
    for source in SOURCES:
        samples = [sample for sample in labelled.samples if sample.split == source]
        alone = [one for one in samples if one.image is None or one.label is None]
        if alone:
            shown = [f"{one.name} has no {'mask' if one.label is None else 'image'}" for one in alone[:5]]
            raise DataError(
                "Every image must have a mask of its name, and every mask an image",
                found=f"{root}, {source}: {listing(shown)}{f' ({len(alone)} such files)' if len(alone) > 5 else ''}",
                do=f"add what is missing, or: ablata data convert {root} --map FILE --paired-only --output NEW_FOLDER",
            )
        if not samples:
            raise DataError(
                "A set must have images for training and for validation",
                found=f"{root}: none in {source}",
                do=f"ablata data convert {root} --map FILE --val 0.2 --output NEW_FOLDER draws a split",
            )
        pairs[source] = [Pair(one.image, one.label) for one in samples if one.image and one.label]
    count = len(labelled.strays) + len(labelled.twins)
    return pairs, (f"{count} files are no images, or second ones of a name, and are ignored",) if count else ()
