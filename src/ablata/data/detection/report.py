"""Checking a detection set: what it holds, and what is wrong with it, named by file and annotation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset, ImageSource
from ablata.data.detection.files import AnnotatedFiles, DetectionFileSettings, FileImages, image_splits
from ablata.data.detection.problems import AnnotationFault
from ablata.data.detection.rle import areas
from ablata.data.loading.shared_images import IN_TWO_SPLITS, TOLD, pixel_digest, repeated_images

SIZES = {"small": 32**2, "medium": 96**2, "large": float("inf")}
"""Sizes of objects as COCO has them: pixels of the mask, or of the box without one, up to each."""
_THREADS = 8
_BLOCK = 64
_SHOWN = 8


@dataclass
class ClassCount:
    """Objects of a class in a split.

    Attributes:
        objects: those that count.
        images: with at least one.
        ignored: crowd regions and difficult objects.
        sizes: objects of each of `SIZES`.
    """

    objects: int = 0
    images: int = 0
    ignored: int = 0
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SIZES, 0))


@dataclass(frozen=True)
class SplitCount:
    """What a split holds: images, those without an object, and each class."""

    images: int
    empty: int
    classes: dict[str, ClassCount]

    @property
    def objects(self) -> int:
        """Return how many objects count."""
        return sum(one.objects for one in self.classes.values())

    @property
    def sizes(self) -> dict[str, int]:
        """Return the objects of each size."""
        return {name: sum(one.sizes[name] for one in self.classes.values()) for name in SIZES}


@dataclass(frozen=True)
class DetectionReport:
    """Report on a detection set.

    Attributes:
        splits: what each holds.
        shapes: lowest and highest height and width in pixels, and how many different sizes there are.
        mean: of each channel over the training images, each image counted alike, in 0..1.
        std: the same of the standard deviation over all their pixels.
        problems: what training repairs or refuses.
        remarks: what is worth knowing.
    """

    splits: dict[str, SplitCount]
    shapes: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    problems: tuple[AnnotationFault, ...]
    remarks: tuple[str, ...]

    @property
    def classes(self) -> dict[str, dict[str, int]]:
        """Return how many objects of each class each split has."""
        return {
            split: {name: one.objects for name, one in count.classes.items()} for split, count in self.splits.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        splits = {
            split: {
                "images": count.images, "without_objects": count.empty, "objects": count.objects, "sizes": count.sizes,
                "classes": {name: vars(one) for name, one in count.classes.items()},
            }
            for split, count in self.splits.items()
        }  # fmt: skip
        problems = [{"kind": one.kind, "where": one.where, "repaired": one.repaired} for one in self.problems]
        return {
            "splits": splits, "sizes": self.shapes, "mean": list(self.mean), "std": list(self.std),
            "problems": problems, "remarks": list(self.remarks),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return what the set holds, in words: images and objects of each split, sizes, colours."""
        told = []
        for split, count in self.splits.items():
            sizes = ", ".join(f"{number:,} {name}" for name, number in count.sizes.items())
            present = sum(one.objects > 0 for one in count.classes.values())
            told.append(
                f"{split}: {counted(count.images, 'image')}, {count.empty:,} of them without an object; "
                f"{counted(count.objects, 'object')} of {counted(present, 'class')} ({sizes})"
            )
        s = self.shapes
        told.append(
            f"sizes: {s['different']:,}, heights {s['lowest']} to {s['highest']}, "
            f"widths {s['narrowest']} to {s['widest']} pixels"
        )
        if self.mean:
            means = ", ".join(f"{value:.3f}" for value in self.mean)
            told.append(f"training images: mean {means}; std {', '.join(f'{value:.3f}' for value in self.std)}")
        return told

    def class_lines(self) -> list[str]:
        """Return a line for each class: its objects and images in each split, by size."""
        names = dict.fromkeys(name for count in self.splits.values() for name in count.classes)
        return [
            f"{name}: " + "; ".join(_told(split, count.classes[name]) for split, count in self.splits.items())
            for name in names
        ]


def _told(split: str, count: ClassCount) -> str:
    sizes = ", ".join(f"{number:,} {size}" for size, number in count.sizes.items())
    ignored = f", {count.ignored:,} ignored" if count.ignored else ""
    return f"{split} {count.objects:,} on {counted(count.images, 'image')} ({sizes}{ignored})"


def check_detection(settings: Any, cache: Path) -> DetectionReport:
    """Read a set whole, decode every image, and report.

    Args:
        settings: of any detection set.
        cache: where prepared data is kept.

    Raises:
        DataError: the set is missing, or not of its format at all.
    """
    if not isinstance(settings, DetectionFileSettings):
        return _report(settings.build(cache), _Looked())
    found = settings.read(cache)
    problems = list(found.findings.all())
    remarks: list[str] = []
    try:
        data: DetectionDataset | None = found.dataset(settings, cache)
    except DataError as error:
        data = None
        if not any(one.kind == error.must for one in problems):
            problems.append(AnnotationFault(error.must, error.found or ""))
    if found.maskless and len(found.maskless) < sum(len(one.objects) for one in _entries(found)):
        some = listing(found.maskless[:_SHOWN])
        many = counted(len(found.maskless), "object has", "objects have")
        remarks.append(f"{many} no mask, so that masks cannot be trained: {some}")
    looked = _Looked()
    report = _report(data, looked) if data is not None else _report_files(found, settings, looked)
    try:
        report = _with_test(report, found, looked)
    except DataError as error:
        problems.append(AnnotationFault(f"test: {error.must}", error.found or ""))
    repeated = [f"{one} is {other}" for one, other in repeated_images(looked.seen)]
    problems += [AnnotationFault(IN_TWO_SPLITS, said) for said in repeated]
    kinds = (TOLD, *(one.kind for one in problems))
    told = [notice for notice in report.remarks if not notice.startswith(kinds)]
    return DetectionReport(
        report.splits, report.shapes, report.mean, report.std, tuple(_unique((*problems, *report.problems))),
        (*remarks, *told),
    )  # fmt: skip


def _unique(problems: Sequence[AnnotationFault]) -> Iterator[AnnotationFault]:
    """Yield each problem once, and a file that does not decode with the advice where one of two reports has it."""
    advised = {one.where.partition(" (")[0] for one in problems if " (" in one.where}
    yield from (one for one in dict.fromkeys(problems) if one.where not in advised)


def _entries(found: AnnotatedFiles) -> Iterator[AnnotatedImage]:
    for source in found.sources.values():
        yield from source.entries


def _report(data: DetectionDataset, looked: _Looked) -> DetectionReport:
    for name, source in data.sources.items():
        looked.add(source, name)
    splits = {split: count_objects(data.entries(split), data.classes) for split in data.splits}
    return looked.report(splits, data.notices)


def _report_files(found: AnnotatedFiles, settings: DetectionFileSettings, looked: _Looked) -> DetectionReport:
    """Report on a set that cannot be trained on, as far as it goes."""
    for name, source in found.sources.items():
        looked.add(source, name)
    try:
        train, val = (found.sources[name].entries for name in ("train", "val"))
        divided = image_splits(len(train), len(val), settings.minival, settings.split_seed, found.groups)
        parts = {name: [found.sources[one.source].entries[row] for row in one.index] for name, one in divided.items()}
    except (DataError, ValueError):
        parts = {str(name): list(source.entries) for name, source in found.sources.items()}
    return looked.report({name: count_objects(entries, found.classes) for name, entries in parts.items()}, ())


def _with_test(report: DetectionReport, found: AnnotatedFiles, looked: _Looked) -> DetectionReport:
    if found.test is None:
        return report
    source, findings = found.test()
    before = len(looked.problems)
    looked.add(source, "test")
    splits = report.splits | {"test": count_objects(source.entries, found.classes)}
    problems = (*report.problems, *findings.all(), *looked.problems[before:])
    return DetectionReport(splits, report.shapes, report.mean, report.std, problems, report.remarks)


def count_objects(entries: Sequence[AnnotatedImage], classes: Sequence[str]) -> SplitCount:
    """Count the objects of images by class and size."""
    counts = {name: ClassCount() for name in classes}
    empty = 0
    for entry in entries:
        objects = entry.objects
        sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]).double()
        pixels = areas(objects.masks) if isinstance(objects.masks, tuple) else sides.prod(1).numpy()
        labels, crowd = objects.labels.tolist(), objects.crowd.tolist()
        for label, ignored, area in zip(labels, crowd, pixels, strict=True):
            one = counts[classes[label]]
            if ignored:
                one.ignored += 1
                continue
            one.objects += 1
            one.sizes[next(name for name, most in SIZES.items() if area < most)] += 1
        present = {label for label, ignored in zip(labels, crowd, strict=True) if not ignored}
        empty += not present
        for label in present:
            counts[classes[label]].images += 1
    return SplitCount(len(entries), empty, counts)


def _file_name(source: ImageSource, row: int) -> str:
    return str(source.files[row]) if isinstance(source, FileImages) else f"image {row}"


class _Looked:
    """Decodes images: their sizes, colours, what cannot be decoded, and which are there twice."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, str]] = {}
        self.sizes: set[tuple[int, int]] = set()
        self.moments: list[np.ndarray] = []
        self.problems: list[AnnotationFault] = []

    def add(self, source: ImageSource, name: str) -> None:
        """Look at every image of a source, which is called so."""
        seen = self.seen.setdefault(name, {})

        def decoded(row: int) -> np.ndarray | str:
            """Return the pixels of a row, or what is wrong with its file."""
            try:
                pixels = source.pixels(row)
                seen.setdefault(pixel_digest(pixels), _file_name(source, row))
                return pixels
            except DataError as error:
                return error.found or error.must
            except FileNotFoundError:
                return ""  # noted where the annotations were read
            except OSError as error:
                return f"{error.filename}: {error.strerror}"

        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(source.entries), _BLOCK):
                for pixels in pool.map(decoded, range(start, min(start + _BLOCK, len(source.entries)))):
                    self._count(pixels, name == "train")

    def _count(self, pixels: np.ndarray | str, training: bool) -> None:
        if isinstance(pixels, str):
            if pixels:
                self.problems.append(AnnotationFault("Every image must be decodable", pixels))
            return
        self.sizes.add((pixels.shape[0], pixels.shape[1]))
        if training:
            values = pixels.reshape(-1, pixels.shape[2]).astype(np.float64) / 255
            self.moments.append(np.stack([values.mean(0), (values**2).mean(0)]))

    def report(self, splits: dict[str, SplitCount], remarks: Sequence[str]) -> DetectionReport:
        """Return what was seen."""
        heights, widths = zip(*self.sizes, strict=True) if self.sizes else ((0,), (0,))
        shapes = {
            "different": len(self.sizes), "lowest": min(heights), "highest": max(heights),
            "narrowest": min(widths), "widest": max(widths),
        }  # fmt: skip
        mean, square = np.mean(self.moments, axis=0) if self.moments else (np.zeros(0), np.zeros(0))
        std = np.sqrt(np.maximum(square - mean**2, 0))
        return DetectionReport(
            splits, shapes, tuple(mean.tolist()), tuple(std.tolist()), tuple(self.problems), tuple(remarks)
        )
