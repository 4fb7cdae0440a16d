"""Segmentation from folders: images/train/NAME.jpg with labels/train/NAME.png, and the same for val."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.cache import combined, folder_digest
from ablata.data.crop import backend_name
from ablata.data.folders import SUFFIXES
from ablata.data.joint_augment import JointAugment
from ablata.data.label_table import LabelTable, read_table
from ablata.data.normalisation import IMAGENET_MEAN, IMAGENET_STD
from ablata.data.pairs import Pair, decoded_pairs
from ablata.data.roots import find_root
from ablata.data.segmentation import SegmentationData
from ablata.data.source import NominalShape
from ablata.data.splits import Split, make_splits

LAYOUT = "images/train, images/val, and labels (or masks) with the same names, and classes.txt"
_MASKS = ("labels", "masks")
_SOURCES: tuple[Literal["train", "val"], ...] = ("train", "val")
Pairs = dict[Literal["train", "val"], list[Pair]]


class PairedSet(Settings):
    """What sets of images and masks have in common; not itself a choice."""

    kind: str
    """Which set."""
    root: Annotated[str | None, INCIDENTAL] = None
    """The folder, or a zip of it; a name alone is looked for under ABLATA_DATA."""
    minival: int | float = 0
    """Samples (or a share, below 1) held out of the training set to choose on; 0: none."""
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

    def assemble(
        self,
        root: Path,
        pairs: Pairs,
        table: LabelTable,
        cache: Path,
        *,
        splits: dict[str, Split],
        more: tuple[Path, ...] = (),
        notices: tuple[str, ...] = (),
    ) -> SegmentationData:
        """Decode the pairs of both sources the first time, and put them together.

        Args:
            root: the folder that holds them.
            pairs: the files of each source.
            table: the classes.
            cache: the cache folder.
            splits: which of them are in which split.
            more: other files of the content.
            notices: what the reader should know.

        Raises:
            DataError: see `decoded_pairs`.
        """
        table = table.with_void_class() if self.void == "class" else table
        files = {source: [file for pair in pairs[source] for file in (pair.image, pair.mask)] for source in _SOURCES}
        digests = {source: folder_digest(root, files[source], cache) for source in _SOURCES}
        stores = {source: decoded_pairs(digests[source][:32], pairs[source], table, cache) for source in _SOURCES}
        own = [folder_digest(file.parent, [file], cache) for file in more]
        return SegmentationData(
            stores,
            table,
            splits=splits,
            fingerprint=combined([*digests.values(), *own]),
            mean=self.mean,
            std=self.std,
            augment=self.augment,
            backend=backend_name("pil", None),
            notices=notices,
        )


class MaskFolder(PairedSet):
    """Any folder of images and masks of the same names; what the masks' values mean stands in a class list."""

    kind: Literal["mask_folder"] = "mask_folder"
    table: str | None = None
    """Class list: a line `ID NAME` or `#RRGGBB NAME` for each class; null: classes.txt in the folder."""
    ignored: tuple[str, ...] = ()
    """Names of the list (in any case) whose pixels are ignored."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 19 classes of Cityscapes."""
        crop = self.augment.crop
        height, width = (crop.height, crop.width) if crop else (512, 512)
        return NominalShape(classes=19 + (self.void == "class"), channels=3, height=height, width=width)

    def build(self, cache: Path) -> SegmentationData:
        """Find, decode (the first time) and map the set.

        Raises:
            DataError: the layout or the class list is not there, a picture has no mask or a mask no picture, or see
                `decoded_pairs`.
        """
        root = find_root(self.root, default=None, fits=has_masks, layout=LAYOUT, cache=cache)
        file = Path(self.table).expanduser() if self.table else root / "classes.txt"
        pairs, notices = list_pairs(root)
        splits = make_splits(np.zeros(len(pairs["train"]), np.int64), len(pairs["val"]), self.minival, self.split_seed)
        table = read_table(file, self.ignored)
        return self.assemble(root, pairs, table, cache, splits=splits, more=(file,), notices=notices)


def has_masks(folder: Path) -> bool:
    """Tell whether a folder has images/train, images/val and masks beside them."""
    return _mask_folder(folder) is not None and all((folder / "images" / source).is_dir() for source in _SOURCES)


def _mask_folder(root: Path) -> Path | None:
    return next((root / name for name in _MASKS if (root / name / "train").is_dir()), None)


def list_pairs(root: Path) -> tuple[Pairs, tuple[str, ...]]:
    """Return the pairs of both sources in the order of their names, and notices of files that are no images.

    Raises:
        DataError: a source is empty, or a picture or a mask stands alone.
    """
    pairs: Pairs = {}
    notices: list[str] = []
    for source in _SOURCES:
        images, junk = _named(root / "images" / source)
        masks, more = _named((_mask_folder(root) or root) / source)
        alone = sorted(images.keys() ^ masks.keys())
        if alone or not images:
            shown = [f"{name} has no {'mask' if name in images else 'image'}" for name in alone[:5]]
            raise DataError(
                "Every image must have a mask of its name, and every mask an image",
                found=f"{root}, {source}: {listing(shown)}{f' ({len(alone)} such files)' if len(alone) > 5 else ''}",
                do="add what is missing, or remove what stands alone",
            )
        pairs[source] = [Pair(images[name], masks[name]) for name in sorted(images)]
        if junk or more:
            notices.append(f"{len(junk) + len(more)} files in {source} are no images and are ignored")
    return pairs, tuple(notices)


def _named(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """Return {name without suffix: image file}, and the other files."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    images = [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
    named = {file.relative_to(folder).with_suffix("").as_posix(): file for file in images}
    return named, [file for file in files if file not in set(images)]
