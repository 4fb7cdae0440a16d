"""Semantic segmentation from drawn objects: polygons and masks of any annotation tool's format, painted once.

The set is read as `data=boxes` reads it; each image's objects are painted into a mask of classes, kept as a file in the
cache folder, and from there on it is a set of images and masks like any other.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.files import AnnotatedFiles, FileImages, image_splits
from ablata.data.detection.problems import OnInvalid
from ablata.data.detection.rle import decode
from ablata.data.detection.written_objects import WrittenObject
from ablata.data.formats.all import FormatName
from ablata.data.formats.boxes import BoxSet
from ablata.data.formats.places import relative
from ablata.data.labels.splitting import SplitRule
from ablata.data.labels.table import LabelTable, default_palette
from ablata.data.loading.cache import build_once, folder_digest
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.splits import Source, make_splits
from ablata.data.segmentation.mask_folder import PairFiles, Pairs, SegmentationFileSettings
from ablata.data.segmentation.store import Pair
from ablata.structures.ignore import IGNORE

BACKGROUND = ("background", "_background_", "bg")
"""Names of a class that is what nothing is drawn on."""
_VERSION = 1
_SHOWN = 3


class Shapes(SplitRule, SegmentationFileSettings):
    """Segmentation from objects that were drawn as polygons or masks, in any annotation tool's format."""

    kind: Literal["shapes"] = "shapes"
    format: FormatName | None = None
    """Which tool's format the folder has; null: recognized by its files."""
    classes: tuple[str, ...] = ()
    """Names of the classes, without the background; empty: those that the set lists, else those that occur."""
    unlabelled: Literal["background", "ignore"] = "background"
    """What pixels are on which nothing is drawn: a class of their own, the first, or nothing that counts."""
    on_top: Literal["last", "smallest"] = "last"
    """Which of two objects a pixel belongs to: the one drawn later (as labelme and CVAT show it), or the smaller."""
    rectangles: Literal["refuse", "fill"] = "refuse"
    """What becomes of objects with a box alone: they are refused, or the whole box is painted."""
    on_invalid: OnInvalid = "repair"
    """What is done about faulty annotations: repaired where they have one meaning, or refused."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with 20 classes where they are not named."""
        height, width = (self.augment.crop.height, self.augment.crop.width) if self.augment.crop else (512, 512)
        count = (len(self.classes) or 20) + (self.unlabelled == "background") + (self.void == "class")
        return NominalShape(classes=count, channels=3, height=height, width=width)

    def objects(self) -> BoxSet:
        """Return the settings that read the same set as objects."""
        names = set(BoxSet.model_fields) & set(type(self).model_fields) - {"kind", "augment", "minival", "mean", "std"}
        return BoxSet.model_validate({name: getattr(self, name) for name in names})

    def find(self, cache: Path) -> PairFiles:
        """Read the set, and paint its masks the first time; see `SegmentationFileSettings.find`.

        Raises:
            DataError: an object has a box alone, and boxes are not to be painted.
        """
        found = self.objects().read_written(cache)
        notices = list(found.findings.notices())
        sources = dict(found.sources)
        if found.test is not None:
            sources["test"], findings = found.test()
            notices += findings.notices()
        entries = [entry for source in sources.values() for entry in source.entries]
        bare = [one.where for entry in entries for one in entry.written if one.mask is None]
        if bare and self.rectangles == "refuse":
            raise DataError("Every object must have a polygon or a mask",
                            found=f"{found.root}: {len(bare)} have a box alone: {listing(bare[:_SHOWN])}",
                            do="set data.rectangles=fill to paint whole boxes, or train a detector")  # fmt: skip
        brush = _Brush.of(self, found)
        folder = brush.paint(found, sources, cache)
        pairs: Pairs = {
            name: [Pair(file, folder / name / _mask_name(found.root, file)) for file in source.files]
            for name, source in sources.items()
        }
        if over := json.loads((folder / "overlaps.json").read_text()):
            of = "the smaller" if self.on_top == "smallest" else "the later"
            pixels = counted(over, "pixel is", "pixels are")
            notices.append(f"{pixels} covered by several objects, and count as {of} object (data.on_top)")
        splits = make_splits(np.zeros(len(pairs["train"]), np.int64), len(pairs["val"]), self.minival, self.split_seed)
        if self.has_groups and self.minival:
            count = len(pairs["train"])
            held = round(self.minival * count) if self.minival < 1 else int(self.minival)
            splits = image_splits(count, len(pairs["val"]), held, self.split_seed, found.groups)
        lists = tuple(file for file in found.annotations if file.is_relative_to(found.root))
        return PairFiles(found.root, pairs, brush.table(), splits, lists, tuple(notices))


@dataclass(frozen=True)
class _Brush:
    """How objects become a mask of classes.

    Attributes:
        names: of the classes that are trained, the background among them.
        values: what each class of the set is painted as.
        ground: what pixels are on which nothing is drawn.
        smallest: the smaller of two objects lies on top; else the later.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    ground: int
    smallest: bool

    @classmethod
    def of(cls, settings: Shapes, found: AnnotatedFiles) -> _Brush:
        """Return the brush for a set's classes.

        Raises:
            DataError: a mask of 8 bits cannot hold them.
        """
        classes, smallest = list(found.classes), settings.on_top == "smallest"
        if len(classes) >= IGNORE:
            raise DataError(f"Masks of classes must have fewer than {IGNORE} of them",
                            found=f"{found.root}: {counted(len(classes), 'class')}",
                            do="join classes that mean the same, or train a detector")  # fmt: skip
        own = next((place for place, name in enumerate(classes) if name.lower() in BACKGROUND), None)
        if settings.unlabelled == "ignore":
            return cls(tuple(classes), tuple(range(len(classes))), IGNORE, smallest)
        others = [name for place, name in enumerate(classes) if place != own]
        names = (classes[own] if own is not None else BACKGROUND[0], *others)
        return cls(names, tuple(names.index(name) for name in classes), 0, smallest)

    def table(self) -> LabelTable:
        """Return what the painted values mean."""
        numbers = tuple(range(len(self.names)))
        return LabelTable("ids", self.names, numbers, (IGNORE,), default_palette(len(numbers)))

    def paint(self, found: AnnotatedFiles, sources: dict[Source, FileImages], cache: Path) -> Path:
        """Return the folder of painted masks, made the first time."""
        settings = (
            f"{_VERSION}|{self}|{[[relative(file, found.root) for file in one.files] for one in sources.values()]}"
        )
        content = folder_digest(found.root, found.files, cache)
        name = hashlib.sha256(f"{settings}|{content}".encode()).hexdigest()[:32]

        def fill(draft: Path) -> None:
            """Paint a mask for each image."""
            over = 0
            for split, source in sources.items():
                for file, entry in zip(source.files, source.entries, strict=True):
                    mask, covered = self.mask(entry)
                    over += covered
                    target = draft / split / _mask_name(found.root, file)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(mask).save(target)
            (draft / "overlaps.json").write_text(json.dumps(over))

        return build_once(cache / "painted" / name, fill)

    def mask(self, entry: AnnotatedImage) -> tuple[np.ndarray, int]:
        """Return an image's mask, uint8 [H, W], and how many pixels several objects cover."""
        mask = np.full(entry.size, self.ground, dtype=np.uint8)
        times = np.zeros(entry.size, dtype=np.uint16)
        drawn = [_pixels(one, entry.size) for one in entry.written]
        objects = list(zip(entry.objects.labels.tolist(), drawn, entry.written, strict=True))
        if self.smallest:
            objects.sort(key=lambda one: -int(one[1].sum()))
        # Ignored regions lie below what was called.
        for label, pixels, one in sorted(objects, key=lambda one: not one[2].crowd):
            mask[pixels] = IGNORE if one.crowd else self.values[label]
            times[pixels] += not one.crowd
        return mask, int((times > 1).sum())


def _pixels(one: WrittenObject, size: tuple[int, int]) -> np.ndarray:
    """Return an object's pixels, bool [H, W]: its mask's, or its whole box."""
    if one.mask is not None:
        mask: np.ndarray = decode([one.mask], *size)[0].numpy()
        return mask
    pixels = np.zeros(size, dtype=bool)
    left, top, right, bottom = (max(round(value), 0) for value in one.corners.tolist())
    pixels[top:bottom, left:right] = True
    return pixels


def _mask_name(root: Path, image: Path) -> str:
    """Return the name of a painted mask: its image's, with all of its ending, so that two stay apart."""
    return f"{relative(image, root)}.png"
