"""Synthetic scenes for detection: small things that look alike, told apart only by their company and their place.

Large things are easy to tell: a red ring, a blue cross, a green block. Small things are grey. A disc is a `bead` where
the image holds a ring and a `seed` where it holds a cross, wherever both stand: company. A square is a
`beside square` left or right of the block, and a `stacked square` above or below it: place. (Left and right of it would
be lost on Relation Networks, whose geometry knows distances without their signs.) The small things keep away from the
large ones, and either side of the block is as likely at every place of an image, so that a network that sees no
further cannot do better than guess between two classes. A ring and a cross are never on the same image. `faith` is
the fraction of small things that follow the rule; the others are of the other class.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from ablata.base.seeds import derive
from ablata.base.settings import Settings, settings_hash
from ablata.data.detection.checked_objects import checked_objects
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset, ImageSource
from ablata.data.detection.files import DetectionSettings, image_splits
from ablata.data.detection.problems import Findings
from ablata.data.detection.rle import encode, tight_box
from ablata.data.loading.cache import combined, file_digest, load_array, stored_arrays
from ablata.data.loading.dataset import PAINTED
from ablata.data.loading.splits import SOURCES
from ablata.data.transforms.detection import DetectionAugment

Large = Literal["ring", "cross", "block"]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, half open."""

_COLORS: dict[Large, tuple[int, int, int]] = {"ring": (200, 60, 50), "cross": (60, 80, 210), "block": (60, 170, 80)}
_GREY = (165, 165, 165)
_SMALL, _LARGE, _BLOCK = 9, 23, (15, 15)
_MARGIN, _TRIES = 2, 60


class Canvas:
    """A canvas that things are put on.

    Args:
        random: drawn from.
        height: pixels.
        width: pixels.
        gap: fewest pixels between the middle of a small thing and the border of the large one it goes with.

    Attributes:
        pixels: uint8 [H, W, 3].
        instances: uint8 [H, W], 0 or 1 + the thing's place in `classes`.
        classes: of each thing, in the order of painting.
    """

    def __init__(self, random: np.random.Generator, height: int, width: int, gap: int) -> None:
        self._random, self._gap = random, gap
        ground = random.normal(85, 14, (height, width, 3)) + random.normal(0, 12, 3)
        self.pixels = ground.clip(0, 255).astype(np.uint8)
        self.instances = np.zeros((height, width), dtype=np.uint8)
        self.classes: list[int] = []
        self._taken: list[Box] = []
        self._large: dict[Large, Box] = {}

    def large(self, name: Large, label: int) -> bool:
        """Put a large thing at a free place; return whether there was one."""
        width, height = _BLOCK if name == "block" else (_LARGE, _LARGE)
        box = self._free(width, height)
        if box is None:
            return False
        self._large[name] = box
        left, top = box[:2]
        shape = np.zeros((height, width), dtype=np.uint8)
        middle = _LARGE // 2
        if name == "ring":
            cv2.circle(shape, (middle, middle), middle - 2, 1, 4)
        elif name == "cross":
            shape[middle - 2 : middle + 3] = 1
            shape[:, middle - 2 : middle + 3] = 1
        else:
            shape[:] = 1
        self._paint(shape.astype(bool), left, top, _COLORS[name], label)
        return True

    def disc(self, label: int, company: Large) -> bool:
        """Put a grey disc away from the thing it goes with; return whether there was room."""
        place = self._far(company)
        if place is None:
            return False
        rows, columns = np.mgrid[:_SMALL, :_SMALL] - _SMALL // 2
        self._paint(rows**2 + columns**2 <= (_SMALL / 2) ** 2, place[0], place[1], _GREY, label)
        return True

    def side(self) -> tuple[Box, int] | None:
        """Draw a place for a square once; return it with its side of the block: 0 beside, 1 above or below.

        None where it is taken, or on neither side. Places that lie more often on one side than on the other, such as
        those at the image's border, are left out as often as makes both sides alike: a place alone tells nothing.
        """
        box = self._free(_SMALL, _SMALL)
        if box is None:
            return None
        across, down = self._away(box, "block")
        if min(across, down) > 0 or max(across, down) < self._gap:
            return None
        side = int(down > across)
        height, width = self.instances.shape
        (level_x, far_x), (level_y, far_y) = self._chances(box[0], width), self._chances(box[1], height)
        beside, stacked = level_y * far_x, level_x * far_y
        own, other = (beside, stacked) if side == 0 else (stacked, beside)
        return (box, side) if self._random.random() * own < other else None

    def square(self, label: int, place: Box) -> None:
        """Put a grey square at a place of `side`."""
        self._paint(np.ones((_SMALL, _SMALL), dtype=bool), place[0], place[1], _GREY, label)

    def _away(self, box: Box, company: Large) -> tuple[float, float]:
        """Return how far the middle of a small thing lies from the border of a large one, across and down."""
        left, top, right, bottom = self._large[company]
        x, y = box[0] + _SMALL / 2, box[1] + _SMALL / 2
        return max(left - x, x - right, 0.0), max(top - y, y - bottom, 0.0)

    def _chances(self, start: int, length: int) -> tuple[float, float]:
        """Return of how many of the block's places along an axis a square that starts here is level, and far."""
        size, middle = _BLOCK[0], start + _SMALL / 2
        starts = np.arange(length - size + 1)
        apart = np.maximum(starts - middle, middle - (starts + size))
        return float((apart <= 0).mean()), float((apart >= self._gap).mean())

    def _far(self, company: Large) -> Box | None:
        """Return a free place for a small thing, `gap` from its company."""
        for _ in range(_TRIES):
            box = self._free(_SMALL, _SMALL)
            if box is None or max(self._away(box, company)) >= self._gap:
                return box
        return None

    def _free(self, width: int, height: int) -> Box | None:
        """Return a place where nothing is."""
        tall, wide = self.instances.shape
        for _ in range(_TRIES):
            left = int(self._random.integers(0, wide - width + 1))
            top = int(self._random.integers(0, tall - height + 1))
            box = (left, top, left + width, top + height)
            if not any(_near(box, other) for other in self._taken):
                return box
        return None

    def _paint(self, shape: np.ndarray, left: int, top: int, color: tuple[int, int, int], label: int) -> None:
        height, width = shape.shape
        part = (slice(top, top + height), slice(left, left + width))
        noise = self._random.normal(0, 10, (height, width, 1))
        painted = (np.array(color) + noise).clip(0, 255).astype(np.uint8)
        self.pixels[part][shape] = painted[shape]
        self.classes.append(label)
        self.instances[part][shape] = len(self.classes)
        self._taken.append((left, top, left + width, top + height))


def _near(one: Box, other: Box) -> bool:
    apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
    return apart < _MARGIN


CLASSES = ("ring", "cross", "block", "bead", "seed", "beside square", "stacked square")
"""Class names; the last four are small."""
COMPANY: dict[Large, str] = {"ring": "bead", "cross": "seed"}
"""Which large thing brings which small ones."""

_VERSION = 2
_PLACES = 20
"""Places that are drawn for squares; about a tenth of them fit."""


class PlantedScenes(Settings):
    """Content of the images, apart from how many there are."""

    height: Annotated[int, Field(ge=64)] = 96
    """Pixels."""
    width: Annotated[int, Field(ge=64)] = 96
    """Pixels."""
    scene_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the whole set, apart from any run's seed."""
    faith: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of small things that follow the rule; 0.5: there is no rule."""
    gap: Annotated[int, Field(ge=0)] = 26
    """Fewest pixels between the middle of a small thing and the border of a large one."""

    def paint(self, source: int, row: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Paint an image; the same in every process.

        Returns:
            Pixels uint8 [H, W, 3]; instances uint8 [H, W], 0 or 1 + the thing's place in the list; classes.
        """
        random = np.random.default_rng(derive(self.scene_seed, "data", source, row))
        canvas = Canvas(random, self.height, self.width, self.gap)
        if random.random() < 0.8:
            large = tuple(COMPANY)[int(random.integers(2))]
            other = next(name for company, name in COMPANY.items() if company != large)
            if canvas.large(large, CLASSES.index(large)):
                for _ in range(int(random.integers(1, 4))):
                    canvas.disc(CLASSES.index(self._faithful(random, COMPANY[large], other)), large)
        if random.random() < 0.8 and canvas.large("block", CLASSES.index("block")):
            names = ("beside square", "stacked square")
            for _ in range(_PLACES):
                found = canvas.side()
                if found is not None:
                    name = self._faithful(random, names[found[1]], names[1 - found[1]])
                    canvas.square(CLASSES.index(name), found[0])
        return canvas.pixels, canvas.instances, canvas.classes

    def _faithful(self, random: np.random.Generator, name: str, other: str) -> str:
        return name if random.random() < self.faith else other


class SceneBoxes(DetectionSettings):
    """Synthetic detection data set whose small things are told apart by company and place."""

    kind: Literal["scene_boxes"] = "scene_boxes"
    train: Annotated[int, Field(ge=1)] = 1200
    """Training images."""
    val: Annotated[int, Field(ge=1)] = 300
    """Validation images."""
    scenes: PlantedScenes = PlantedScenes()
    """What the images show."""
    mean: tuple[float, ...] = (0.35, 0.35, 0.35)
    """Mean of red, green, blue that is subtracted, in 0..1."""
    std: tuple[float, ...] = (0.15, 0.15, 0.15)
    """What red, green, blue are divided by, in 0..1."""
    augment: DetectionAugment = DetectionAugment()
    """Sizes of images, and random changes of training ones."""

    def class_count(self) -> int:
        """Return 7."""
        return len(CLASSES)

    def image_size(self) -> tuple[int, int]:
        """Return the images' height and width."""
        return self.scenes.height, self.scenes.width

    def build(self, cache: Path) -> DetectionDataset:
        """Paint the images the first time (about a second for a thousand), and map them.

        Raises:
            DataError: minival leaves nothing to train on.
        """
        counts = (self.train, self.val)
        painted = [_painted(self.scenes, number, count, cache) for number, count in enumerate(counts)]
        return DetectionDataset(
            classes=CLASSES,
            sources={source: images for source, (images, _) in zip(SOURCES, painted, strict=True)},
            fingerprint=combined([digest for _, digest in painted]),
            mean=self.mean,
            std=self.std,
            splits=image_splits(*counts, self.minival, self.split_seed),
            augment=self.augment,
            backend=PAINTED,
        )


class PaintedImages(ImageSource):
    """Painted images in memory.

    Args:
        images: uint8 [N, H, W, 3].
        entries: what is on each.
    """

    def __init__(self, images: np.ndarray, entries: list[AnnotatedImage]) -> None:
        self.images, self.entries = images, tuple(entries)

    def pixels(self, row: int) -> np.ndarray:
        """Return uint8 [H, W, 3]."""
        image: np.ndarray = self.images[row]
        return image


def _painted(scenes: PlantedScenes, source: int, count: int, cache: Path) -> tuple[PaintedImages, str]:
    """Return the images of a source and the digest of their pixels and masks."""

    def fill(draft: Path) -> dict[str, object]:
        """Paint every scene and its instances."""
        shape = (count, scenes.height, scenes.width)
        images = np.lib.format.open_memmap(draft / "images.npy", mode="w+", dtype=np.uint8, shape=(*shape, 3))
        instances = np.lib.format.open_memmap(draft / "instances.npy", mode="w+", dtype=np.uint8, shape=shape)
        labels = []
        for row in range(count):
            images[row], instances[row], classes = scenes.paint(source, row)
            labels.append(classes)
        images.flush()
        instances.flush()
        return {"labels": labels}

    name = f"scene-boxes-{settings_hash(scenes)}-{SOURCES[source]}-{count}-{_VERSION}"
    folder, facts = stored_arrays(cache / "painted" / name, cache, fill)
    instances = load_array(folder / "instances.npy")
    entries, first, findings = [], 0, Findings("refuse")
    for row, labels in enumerate(facts["labels"]):
        entries.append(_entry(f"{SOURCES[source]} {row}", instances[row], labels, first, findings))
        first += len(labels)
    findings.notices()
    digests = [file_digest(folder / file, cache) for file in ("images.npy", "instances.npy")]
    return PaintedImages(load_array(folder / "images.npy"), entries), combined(digests)


def _entry(where: str, instances: np.ndarray, labels: list[int], first: int, findings: Findings) -> AnnotatedImage:
    masks = instances[None] == np.arange(1, len(labels) + 1, dtype=np.uint8)[:, None, None]
    boxes = np.array([tight_box(mask) for mask in masks], dtype=np.float64)
    ids, crowd = list(range(first, first + len(labels))), [False] * len(labels)
    size = (instances.shape[0], instances.shape[1])
    return AnnotatedImage(where, size, checked_objects(where, size, boxes, labels, encode(masks), ids, crowd, findings))
