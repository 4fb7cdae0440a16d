"""Image inspection: opened to see whether they can be used, decoded once, the outcome kept in the cache folder."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from ablata.base.cores import usable_cores
from ablata.base.errors import DataError
from ablata.base.files import atomic_path
from ablata.data.io.decode import decode_array, open_image, upright_size
from ablata.data.io.file_slice import Member, content_of

Fault = Literal["unreadable", "animated", "huge"]
"""What keeps an image, or a whole tar, from being used."""
Wrong = Literal[Fault, "empty class", "unknown class", "in train and val"]
"""What keeps a set from being trained on, or its scores from being believed."""
Remark = Literal["no image", "grey", "smaller than the crop"]
"""What is worth knowing, and does no harm."""


@dataclass(frozen=True)
class ImageFinding:
    """A finding about an image file: what, where (relative to the set's folder), and the detail."""

    kind: Wrong | Remark
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}" + (f" ({self.detail})" if self.detail else "")


_VERSION = 1
_MOST_THREADS = 8
_BLOCK = 512
_HUGE = 89_478_485
"""Pixels above which an image is more likely a trap or a scan than a photograph; PIL's own limit."""
A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class InspectedImage:
    """An image file that was inspected.

    Attributes:
        size: height and width in pixels, upright; 0, 0 where even the header cannot be read.
        mode: PIL's name of the kind of pixels.
        pixels: uint8 [H, W, 3]; None where there is a fault.
        fault: why it cannot be used; None: it can.
        detail: of the fault.
    """

    size: tuple[int, int]
    mode: str = ""
    pixels: np.ndarray | None = None
    fault: Fault | None = None
    detail: str = ""


def inspect_image(image: Path | Member) -> InspectedImage:
    """Inspect an image: open and decode it, unless it is too large or has several frames."""
    where, size = str(image), (0, 0)
    try:
        content = content_of(image)
        header = open_image(content, where)
        size = upright_size(header)
        if size[0] * size[1] > _HUGE:
            return InspectedImage(size, header.mode, fault="huge", detail=f"{header.width}x{header.height} pixels")
        frames = getattr(header, "n_frames", 1)
        # A camera's MPO is a JPEG with a second view or a preview behind it; what counts is the first.
        if frames > 1 and header.format != "MPO":
            return InspectedImage(size, header.mode, fault="animated", detail=f"{frames} frames")
        return InspectedImage(size, header.mode, decode_array(content, header, where))
    except DataError as error:
        bomb = isinstance(error.__context__, Image.DecompressionBombError)
        reason = (error.found or "").removeprefix(f"{where}: ")
        return InspectedImage(size, fault="huge" if bomb else "unreadable", detail=reason)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        return InspectedImage(size, fault="unreadable", detail=str(error))


@dataclass(frozen=True)
class InspectedImages:
    """Inspected images of a source.

    Attributes:
        sizes: int32 [n, 2], height and width, upright; 0 where unreadable.
        faults: row -> what is wrong, and the detail.
    """

    sizes: np.ndarray
    faults: dict[int, tuple[Fault, str]]


def inspect_images(images: Sequence[Path | Member], key: str, cache: Path) -> InspectedImages:
    """Inspect every image, once; the outcome is kept under `key`, which must stand for names and contents."""
    kept = cache / "inspected" / f"{key}-{_VERSION}.npz"
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            rows, kinds, details = (arrays[name].tolist() for name in ("rows", "kinds", "details"))
            return InspectedImages(arrays["sizes"], dict(zip(rows, zip(kinds, details, strict=True), strict=True)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        found = _inspect_images(images)
    kinds, details = ([fault[place] for fault in found.faults.values()] for place in (0, 1))
    rows = np.array(list(found.faults), np.int64)
    with atomic_path(kept) as draft, draft.open("wb") as stream:
        np.savez(stream, sizes=found.sizes, rows=rows, kinds=np.array(kinds, str), details=np.array(details, str))
    return found


def _inspect_images(images: Sequence[Path | Member]) -> InspectedImages:
    sizes, faults = np.zeros((len(images), 2), np.int32), {}
    for row, (size, fault, detail) in enumerate(in_threads(_outcome, images)):
        sizes[row] = size
        if fault is not None:
            faults[row] = (fault, detail)
    return InspectedImages(sizes, faults)


def _outcome(image: Path | Member) -> tuple[tuple[int, int], Fault | None, str]:
    seen = inspect_image(image)
    return seen.size, seen.fault, seen.detail


def in_threads(function: Callable[[A], R], items: Sequence[A]) -> Iterator[R]:
    """Yield `function` of each item in order, computed by several threads a block at a time, without PIL's warnings."""
    threads = min(_MOST_THREADS, usable_cores())
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(items), _BLOCK):
            yield from pool.map(function, [items[row] for row in range(start, min(start + _BLOCK, len(items)))])
