"""Checking a classification set: what it holds and what is wrong with it, named by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablata.base.quantities import counted
from ablata.data.classification.file_list import Listing
from ablata.data.classification.inspection import ImageFinding, in_threads, inspect_image
from ablata.data.io.bit_depth import DARK, bits_advice, dark_detail
from ablata.data.io.decode import RULES, ImageRules
from ablata.data.io.file_slice import Member
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import BatchIndices
from ablata.data.loading.report import alike_classes
from ablata.data.loading.shared_images import IN_TWO_SPLITS, pixel_digest, repeated_images
from ablata.data.loading.splits import Source
from ablata.structures.batch import Rows

_BATCH = 256


@dataclass(frozen=True)
class Report:
    """Report on a classification data set.

    Args:
        classes: images of each class, by split.
        sizes: lowest and highest height and width in pixels, and how many different sizes there are.
        mean: of each channel over the training images, each image counted alike, in 0..1.
        std: the same of the standard deviation over all their pixels.
        problems: what must be repaired.
        remarks: what is worth knowing.
    """

    classes: dict[str, dict[str, int]]
    sizes: dict[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    problems: tuple[ImageFinding, ...]
    remarks: tuple[ImageFinding, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""

        def plain(findings: Iterable[ImageFinding]) -> list[dict[str, str]]:
            return [{"kind": finding.kind, "where": finding.where, "detail": finding.detail} for finding in findings]

        return {
            "classes": self.classes,
            "sizes": self.sizes,
            "mean": list(self.mean),
            "std": list(self.std),
            "problems": plain(self.problems),
            "remarks": plain(self.remarks),
        }

    def lines(self) -> list[str]:
        """Return what the set holds, in words: images and balance of each split, sizes, colours."""
        told = []
        for split, counts in self.classes.items():
            low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
            spread = f"from {counts[low]:,} ({low}) to {counts[high]:,} ({high})"
            each = f"{counts[low]:,} of each" if counts[low] == counts[high] else spread
            told.append(f"{split}: {counted(sum(counts.values()), 'image')} of {counted(len(counts), 'class')}, {each}")
        s = self.sizes
        if not self.mean:
            return [*told, "no training image can be read"]
        told.append(
            f"sizes: {s['different']:,}, heights {s['lowest']} to {s['highest']}, "
            f"widths {s['narrowest']} to {s['widest']} pixels"
        )
        means = ", ".join(f"{value:.3f}" for value in self.mean)
        told.append(f"training images: mean {means}; std {', '.join(f'{value:.3f}' for value in self.std)}")
        return told

    def class_lines(self) -> list[str]:
        """Return the images of each class in each split."""
        names = dict.fromkeys(name for counts in self.classes.values() for name in counts)
        return [
            f"{name}: " + ", ".join(f"{split} {counts.get(name, 0):,}" for split, counts in self.classes.items())
            for name in names
        ]


@dataclass
class Tally:
    """Running statistics of images, added one by one."""

    shapes: Counter[tuple[int, int]] = field(default_factory=Counter)
    seen: dict[str, dict[str, str]] = field(default_factory=dict)
    labeled: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    contrary: list[ImageFinding] = field(default_factory=list)
    sums: list[np.ndarray] = field(default_factory=list)

    def add(self, image: ImageStats, split: str, where: str, label: int) -> None:
        """Count an image."""
        self.shapes[image.size] += 1
        first, other = self.labeled.setdefault((split, image.digest), (label, where))
        if first != label:
            self.contrary.append(ImageFinding("two labels", where, f"the same pixels as {other}"))
        self.seen.setdefault(split, {}).setdefault(image.digest, where)
        if split == "train":
            self.sums.append(image.moments)

    def twins(self) -> list[ImageFinding]:
        """Return the images whose pixels are also in another class, or in a split before theirs, train first."""
        return self.contrary + [
            ImageFinding(IN_TWO_SPLITS, where, other) for where, other in repeated_images(self.seen)
        ]

    def sizes(self) -> dict[str, int]:
        """Return lowest and highest height and width, and the number of sizes."""
        heights, widths = zip(*self.shapes, strict=True) if self.shapes else ((0,), (0,))
        return {
            "different": len(self.shapes),
            "lowest": min(heights),
            "highest": max(heights),
            "narrowest": min(widths),
            "widest": max(widths),
        }

    def colors(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of each channel over the training images, in 0..1."""
        if not self.sums:
            return (), ()
        mean, square = np.mean(self.sums, axis=0)
        return tuple(mean.tolist()), tuple(np.sqrt(np.maximum(square - mean**2, 0)).tolist())


@dataclass(frozen=True)
class ImageStats:
    """Statistics of an image: height and width, digest of its pixels, mean and mean square of each channel."""

    size: tuple[int, int]
    digest: str
    moments: np.ndarray


def image_stats(pixels: np.ndarray) -> ImageStats:
    """Return the statistics of an image uint8 [H, W, C]."""
    height, width = pixels.shape[:2]
    values = pixels.reshape(-1, pixels.shape[2]).astype(np.float32) / 255
    moments = np.stack([values.mean(0, dtype=np.float64), np.square(values).mean(0, dtype=np.float64)])
    return ImageStats((height, width), pixel_digest(pixels), moments)


def check_images(data: LabeledImageDataset) -> Report:
    """Check a set that is not a folder of image files: balance, colours, images that are in both splits.

    Raises:
        DataError: an image cannot be read.
    """
    tally, counts = Tally(), {}
    for name in ("train", "val"):
        split, labels = data.splits[name], data.split_labels(name)
        found = torch.bincount(labels, minlength=len(data.classes)).tolist()
        counts[name] = dict(zip(data.classes, found, strict=True))
        label_of = dict(zip(split.index.tolist(), labels.tolist(), strict=True))
        parts = [split.index[start : start + _BATCH] for start in range(0, len(split), _BATCH)]
        reader = data.reader(split.source, training=False, seed=0, device=torch.device("cpu"))
        for batch in reader.read(BatchIndices(part, Rows(0, len(part))) for part in parts):
            for row, image in zip(batch.index.tolist(), batch.images, strict=True):
                tally.add(image_stats(image.permute(1, 2, 0).numpy()), name, f"{name}, row {row}", label_of[row])
    empty = [ImageFinding("empty class", name, "train") for name, count in counts["train"].items() if not count]
    return Report(counts, tally.sizes(), *tally.colors(), problems=(*empty, *tally.twins()), remarks=())


def check_files(found: Listing, crop: int, rules: ImageRules = RULES) -> Report:
    """Read every image of a listing, of folders or of tars.

    Args:
        found: all that lies there, usable or not.
        crop: side of the training crop in pixels; smaller images are named.
        rules: how images are decoded.
    """
    tally, counts = Tally(), {str(source): dict.fromkeys(found.ids, 0) for source in found.files}
    problems = list(found.findings)
    remarks = [ImageFinding("no image", name, "ignored in training") for name in found.ignored]
    remarks += [ImageFinding("left out", name, "in no class folder of train, val or test") for name in found.outside]
    remarks += [ImageFinding("split", told) for told in found.remarks]
    remarks += [ImageFinding("one name", name, "several class folders are called so in classes.txt")
                for name, count in Counter(found.classes).items() if count > 1]  # fmt: skip
    if alike := alike_classes(found.classes):
        remarks.append(ImageFinding("class names", str(found.root), alike))
    highest: dict[str, int] = {}
    for source, files in found.files.items():
        labels = found.labels[source].tolist()
        for row, seen in enumerate(in_threads(partial(_seen, crop=crop, rules=rules), files)):
            where = found.where(source, row)
            problems += [replace(problem, where=where) for problem in seen.problems]
            remarks += [replace(remark, where=where) for remark in seen.remarks]
            if seen.highest:
                highest[where] = seen.highest
            if seen.look is not None:
                tally.add(seen.look, source, where, labels[row])
                if labels[row] >= 0:
                    counts[source][found.ids[labels[row]]] += 1
    if highest and not rules.says_depth and max(highest.values()) < DARK:
        most = max(highest.values())
        detail = f"{counted(len(highest), 'image')} of 16 bits, {dark_detail(most)}; {bits_advice(most)}"
        problems.append(ImageFinding("dark", max(highest, key=highest.__getitem__), detail))
    problems += _unreadable_classes(found, counts["train"])
    if len(found.ids) == 1:
        problems.append(ImageFinding("one class", found.ids[0], "with one alone, every prediction is right"))
    problems += tally.twins()
    return Report(counts, tally.sizes(), *tally.colors(), problems=tuple(problems), remarks=tuple(remarks))


@dataclass(frozen=True)
class _Seen:
    look: ImageStats | None
    problems: tuple[ImageFinding, ...] = ()
    remarks: tuple[ImageFinding, ...] = ()
    highest: int = 0


def _seen(image: Path | Member, crop: int, rules: ImageRules) -> _Seen:
    found = inspect_image(image, rules)
    if found.fault is not None or found.pixels is None:
        return _Seen(None, (ImageFinding(found.fault or "unreadable", "", found.detail),))
    remarks = [ImageFinding("grey", "", f"mode {found.mode}")] if _is_grey(found.mode, found.pixels) else []
    height, width = found.size
    if min(height, width) < crop:
        remarks.append(
            ImageFinding("smaller than the crop", "", f"{height}x{width} (height x width), crop {crop} (data.size)")
        )
    if found.facts and found.facts.orientation != 1:
        done = "turned upright" if rules.orientation == "applied" else "read as stored"
        remarks.append(ImageFinding("orientation", "", f"noted by the camera (EXIF); {done} (data.orientation)"))
    if found.facts and found.facts.transparent and rules.bands is None:
        remarks.append(
            ImageFinding(
                "transparent",
                "",
                f"{counted(found.facts.transparent, 'pixel shows', 'pixels show')} white (data.bands)",
            )
        )
    return _Seen(image_stats(found.pixels), (), tuple(remarks), found.facts.highest if found.facts else 0)


def _unreadable_classes(found: Listing, counts: dict[str, int]) -> list[ImageFinding]:
    """Return the classes that have training files and none that can be used."""
    source: Source = "train"
    filed = np.bincount(found.labels[source][found.labels[source] >= 0], minlength=len(found.ids))
    empty = [name for name, files in zip(found.ids, filed, strict=True) if files and not counts[name]]
    return [ImageFinding("empty class", f"train/{name}", "no image that can be used") for name in empty]


def _is_grey(mode: str, pixels: np.ndarray) -> bool:
    if mode in ("1", "L", "LA", "I", "I;16"):
        return True
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))
