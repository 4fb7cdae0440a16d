"""Writing a set of boxes in another tool's format: images copied, objects as exactly as the format can hold them.

A number is written with few digits where it had few, else with all of them: there and back again it is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.files import AnnotatedFiles, DetectionFileSettings, FileImages
from ablata.data.formats.places import relative
from ablata.data.io.walk import copy_file
from ablata.data.loading.cache import build_once, require_space
from ablata.data.loading.new_folder import refuse_place
from ablata.structures.detection import Rle

_NOISE = 2e-15
"""Rounding errors of a coordinate as a fraction of the image."""


@dataclass(frozen=True)
class KeptObject:
    """An object to be written.

    Attributes:
        label: position in the class list.
        box: left, top, width, height in pixels, as it was written.
        polygons: x, y, x, y, ... in pixels, where it was drawn so.
        mask: None: it has none.
        crowd: ignored in training and scores.
        has_box: a box was written, beside the mask or alone.
    """

    label: int
    box: tuple[float, float, float, float]
    polygons: tuple[tuple[float, ...], ...]
    mask: Rle | None
    crowd: bool
    has_box: bool


@dataclass(frozen=True)
class KeptImage:
    """An image to be written: its file, the name it gets below its split's folder, and what is on it."""

    file: Path
    name: str
    entry: AnnotatedImage

    def objects(self) -> Iterator[KeptObject]:
        """Yield its objects."""
        objects = self.entry.objects
        masks: Sequence[Rle | None] = objects.masks if isinstance(objects.masks, tuple) else [None] * len(objects)
        for row, (label, crowd) in enumerate(zip(objects.labels.tolist(), objects.crowd.tolist(), strict=True)):
            one = self.entry.written[row] if self.entry.written else None
            if one is None:
                left, top, right, bottom = (_decimal(value) for value in objects.boxes[row].numpy())
                box, polygons, mask = (left, top, right - left, bottom - top), (), masks[row]
                yield KeptObject(label, box, polygons, mask, crowd, has_box=mask is None)
                continue
            left, top, right, bottom = one.corners.tolist()
            box = (left, top, right - left, bottom - top)
            yield KeptObject(label, box, one.polygons, one.mask, crowd, one.box is not None)


def _decimal(value: np.float32) -> float:
    """Return the shortest number that stands for one of 32 bits."""
    return float(str(value))


@dataclass
class Written:
    """What was written: images and objects of each split, and what the reader should know."""

    images: Counter[str] = field(default_factory=Counter)
    objects: Counter[str] = field(default_factory=Counter)
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class KeptSet:
    """A set to be written: classes, their numbers in its annotations, and the images of each split."""

    classes: Sequence[str]
    category_ids: Sequence[int]
    splits: dict[str, list[KeptImage]]


WriteSet = Callable[[KeptSet, Path, Written], None]
"""Writes a set into a folder that is there and empty; images are copied by `copy_image`."""


def convert_boxes(settings: DetectionFileSettings, cache: Path, output: Path, write: WriteSet) -> Written:
    """Write a set of boxes in another format; the folder appears whole or not at all, and nothing is overwritten.

    Args:
        settings: of the set.
        cache: where prepared data is kept.
        output: the folder to make.
        write: the format.

    Raises:
        SettingsError: `output` is there, or lies in the source or around it.
        DataError: a fault of the set is refused, or the format cannot hold its names.
    """
    refuse_place(settings.locate(cache), output)
    found = settings.read_written(cache)
    done = Written(notices=list(found.findings.notices()))
    kept = _kept(found, done)
    files = [image.file for images in kept.splits.values() for image in images]
    require_space(output, sum(file.stat().st_size for file in files), what="the new folder",
                  do="choose an --output on another disk")  # fmt: skip
    build_once(output, lambda draft: write(kept, draft, done))
    return done


def _kept(found: AnnotatedFiles, done: Written) -> KeptSet:
    sources: dict[str, FileImages] = {str(name): source for name, source in found.sources.items()}
    if found.test is not None:
        sources["test"], findings = found.test()
        done.notices += findings.notices()
    splits = {}
    for split, source in sources.items():
        names = _names(found.root, source.files)
        rows = zip(source.files, names, source.entries, strict=True)
        splits[split] = [KeptImage(file, name, entry) for file, name, entry in rows]
        done.images[split] = len(names)
    return KeptSet(found.classes, found.category_ids or range(1, len(found.classes) + 1), splits)


def _names(root: Path, files: Sequence[Path]) -> list[str]:
    """Return the names of files where these differ, else their paths below the root.

    Raises:
        DataError: two names differ in their endings alone.
    """
    if len({file.stem for file in files}) == len(files):
        return [file.name for file in files]
    paths = [relative(file, root) for file in files]
    stems = Counter(path.rpartition(".")[0] for path in paths)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise DataError("Images of one folder must have different names, not only different suffixes",
                        found=listing(twice[:3]), do="rename one of each")  # fmt: skip
    return paths


def copy_image(image: KeptImage, folder: Path) -> Path:
    """Copy an image below a folder and return its place."""
    target = folder / image.name
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_file(image.file, target)
    return target


def in_pixels(value: float, side: int) -> float:
    """Return a coordinate in pixels without rounding errors of fractions, of an image with a side of so many."""
    short = round(value, 8)
    return short if abs(short - value) <= _NOISE * side else value


def as_fraction(value: float, side: int) -> float:
    """Return a coordinate in pixels as a fraction of the image's side, without rounding errors."""
    fraction = value / side
    short = round(fraction, 10)
    return short if abs(short - fraction) <= _NOISE else fraction
