"""Image inspection: opened to see whether they can be used, decoded once, the outcome kept in the cache folder."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from ablata.base.cores import usable_cores
from ablata.base.errors import DataError
from ablata.base.files import atomic_path
from ablata.data.io.decode import (
    MOST_PIXELS,
    RULES,
    ImageFacts,
    ImageRules,
    TooLargeError,
    decode_array,
    decode_bands,
    open_image,
    upright_size,
)
from ablata.data.io.file_slice import Member, content_of
from ablata.data.io.headers import orientation_of, page_count

Fault = Literal["unreadable", "animated", "huge"]
"""What keeps an image, or a whole tar, from being used."""
Wrong = Literal[Fault, "dark", "empty class", "unknown class", "one class", "in two splits", "two labels"]
"""What keeps a set from being trained on, or its scores from being believed."""
Remark = Literal[
    "no image",
    "left out",
    "grey",
    "smaller than the crop",
    "orientation",
    "transparent",
    "one name",
    "class names",
    "split",
]
"""What is worth knowing, and does no harm."""


@dataclass(frozen=True)
class ImageFinding:
    """A finding about an image file: what, where (relative to the set's folder), and the detail."""

    kind: Wrong | Remark
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}" + (f" ({self.detail})" if self.detail else "")


_VERSION = 3
_MOST_THREADS = 8
_BLOCK = 512
A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class InspectedImage:
    """An image file that was inspected.

    Attributes:
        size: height and width in pixels, upright; 0, 0 where even the header cannot be read.
        mode: PIL's name of the kind of pixels.
        pixels: uint8 [H, W, C]; None where there is a fault.
        facts: what else is worth knowing; None where there is a fault.
        fault: why it cannot be used; None: it can.
        detail: of the fault.
    """

    size: tuple[int, int]
    mode: str = ""
    pixels: np.ndarray | None = None
    facts: ImageFacts | None = None
    fault: Fault | None = None
    detail: str = ""


def inspect_image(image: Path | Member, rules: ImageRules = RULES) -> InspectedImage:
    """Inspect an image: open and decode it by these rules, unless it is too large or has several frames."""
    where, size = str(image), (0, 0)
    try:
        content = content_of(image)
        header = open_image(content, where, rules.max_pixels)
        size = upright_size(header, rules.orientation)
        # A camera's MPO is a JPEG with a second view or a preview behind it; what counts is the first.
        frames = page_count(header)
        if frames > 1 and rules.page is None:
            detail = f"{frames} frames or pages; data.page=0 reads the first"
            return InspectedImage(size, header.mode, fault="animated", detail=detail)
        mode, facts = header.mode, ImageFacts(orientation_of(header), 0, 0, header.mode)
        if header.format == "JPEG":
            return InspectedImage(size, mode, decode_array(content, header, where, rules=rules), facts)
        return InspectedImage(size, mode, *decode_bands(header, where, rules))
    except DataError as error:
        reason = (error.found or "").removeprefix(f"{where}: ")
        # Advice that names a setting belongs to this file; that to mend files is given once.
        reason += f"; {error.do}" if error.do and "data." in error.do else ""
        return InspectedImage(size, fault="huge" if isinstance(error, TooLargeError) else "unreadable", detail=reason)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        return InspectedImage(size, fault="unreadable", detail=str(error))


@dataclass(frozen=True)
class InspectedImages:
    """Inspected images of a source.

    Attributes:
        sizes: int32 [n, 2], height and width, upright; 0 where unreadable.
        faults: row -> what is wrong, and the detail.
        highest: int32 [n], of 16-bit images the highest value, else 0.
        noted: bool [n], whether the camera noted an orientation other than upright.
    """

    sizes: np.ndarray
    faults: dict[int, tuple[Fault, str]]
    highest: np.ndarray
    noted: np.ndarray


def inspect_images(
    images: Sequence[Path | Member], key: str, cache: Path, rules: ImageRules = RULES
) -> InspectedImages:
    """Inspect every image, once; the outcome is kept under `key`, which must stand for names and contents."""
    limit = "" if rules.max_pixels == MOST_PIXELS else f"{rules.max_pixels}-"
    kept = cache / "inspected" / f"{key}-{rules.key()}{limit}{_VERSION}.npz"
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            rows, kinds, details = (arrays[name].tolist() for name in ("rows", "kinds", "details"))
            faults = dict(zip(rows, zip(kinds, details, strict=True), strict=True))
            return InspectedImages(arrays["sizes"], faults, arrays["highest"], arrays["noted"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        found = _inspect_images(images, rules)
    kinds, details = ([fault[place] for fault in found.faults.values()] for place in (0, 1))
    rows = np.array(list(found.faults), np.int64)
    with atomic_path(kept) as draft, draft.open("wb") as stream:
        np.savez(stream, sizes=found.sizes, rows=rows, kinds=np.array(kinds, str), details=np.array(details, str),
                 highest=found.highest, noted=found.noted)  # fmt: skip
    return found


def _inspect_images(images: Sequence[Path | Member], rules: ImageRules) -> InspectedImages:
    sizes, faults = np.zeros((len(images), 2), np.int32), dict[int, tuple[Fault, str]]()
    highest, noted = np.zeros(len(images), np.int32), np.zeros(len(images), bool)
    for row, seen in enumerate(in_threads(partial(_outcome, rules=rules), images)):
        sizes[row] = seen.size
        if seen.fault is not None:
            faults[row] = (seen.fault, seen.detail)
        if seen.facts is not None:
            highest[row], noted[row] = seen.facts.highest, seen.facts.orientation != 1
    return InspectedImages(sizes, faults, highest, noted)


def _outcome(image: Path | Member, rules: ImageRules) -> InspectedImage:
    """Inspect an image and forget its pixels."""
    return replace(inspect_image(image, rules), pixels=None)


def in_threads(function: Callable[[A], R], items: Sequence[A]) -> Iterator[R]:
    """Yield `function` of each item in order, computed by several threads a block at a time, without PIL's warnings."""
    threads = min(_MOST_THREADS, usable_cores())
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")
        for start in range(0, len(items), _BLOCK):
            yield from pool.map(function, [items[row] for row in range(start, min(start + _BLOCK, len(items)))])
