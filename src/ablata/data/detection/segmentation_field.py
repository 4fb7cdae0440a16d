"""The field `segmentation` of COCO's annotations: polygons, or run lengths (RLE) as a list or packed into text.

What is handed to the library's C code is checked here: it trusts lengths and coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ablata.data.detection.fields import FieldError, Fields
from ablata.data.detection.problems import Findings
from ablata.data.detection.rle import from_polygons, from_runs
from ablata.structures.detection import Rle

_NAME = "segmentation"
_POINTS = 3
"""Fewest points of a polygon."""
_FAR = 16
"""A polygon leaves its image by so many times its longer side at most: what fills it would take memory without end."""
_MOST_LETTERS = 12
"""Of one packed number; 64 bits need no more."""


def read_segmentation(fields: Fields, size: tuple[int, int]) -> Rle | None:
    """Return an object's mask; None where there is none.

    Args:
        fields: of the annotation.
        size: height and width of its image.

    Raises:
        FieldError: it is neither polygons nor run lengths, or does not fit the image.
    """
    if not fields.has(_NAME):
        return None
    value = fields.values[_NAME]
    if isinstance(value, dict):
        return _from_runs(value, size, fields)
    if isinstance(value, list):
        return _from_polygons(value, size, fields)
    raise FieldError(f"{_NAME} must be polygons or run lengths", fields.shown(_NAME, value))


MUST_BE_NEAR = "Every polygon must lie on its image"


def is_far(polygon: Sequence[float], size: tuple[int, int]) -> bool:
    """Tell whether a polygon, x, y, x, y, ..., has a point far beyond its image's height and width."""
    return max(map(abs, polygon), default=0) > _FAR * max(size)


def polygons_of(fields: Fields) -> tuple[tuple[float, ...], ...]:
    """Return the polygons of an object whose mask can be read, x, y, x, y, ...; nothing of run lengths."""
    value = fields.values.get(_NAME)
    quiet = Fields(fields.values, fields.where, Findings("repair"))
    return tuple(map(tuple, _polygons(value, quiet))) if isinstance(value, list) else ()


def _from_polygons(value: list[Any], size: tuple[int, int], fields: Fields) -> Rle:
    polygons = _polygons(value, fields)
    if any(is_far(numbers, size) for numbers in polygons):
        raise FieldError(MUST_BE_NEAR, f"{fields.shown(_NAME, value)} in {size[1]}x{size[0]}")
    return from_polygons(polygons, size) if polygons else from_runs(size, [size[0] * size[1]])


def _polygons(value: list[Any], fields: Fields) -> list[list[float]]:
    shown = fields.shown(_NAME, value)
    if _is_flat(value):
        fields.findings.repairable("Every polygon must be a list of its own", "flat polygons taken as one each", shown)
        value = [value]
    elif len(value) >= _POINTS and all(map(_is_pair, value)):
        value = [value]
    polygons = []
    for polygon in value:
        if isinstance(polygon, list) and polygon and all(map(_is_pair, polygon)):
            fields.findings.repairable("Every polygon must be x, y, x, y, ...", "polygons of pairs joined", shown)
            polygon = [number for pair in polygon for number in pair]
        numbers = fields.numbers(polygon, _NAME)
        if len(numbers) % 2:
            raise FieldError(
                "Every polygon must have an even number of coordinates", f"{shown}: {len(numbers)} numbers"
            )
        if len(numbers) < 2 * _POINTS:
            fields.findings.repairable("Every polygon must have three points", "polygons of one or two points left out",
                                       f"{shown}: {len(numbers) // 2} points")  # fmt: skip
            continue
        polygons.append(numbers)
    return polygons


def _is_flat(value: list[Any]) -> bool:
    return not any(isinstance(one, list) for one in value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_flat(value)


def _from_runs(value: dict[str, Any], size: tuple[int, int], fields: Fields) -> Rle:
    shown = fields.shown(_NAME, value)
    sides = fields.numbers(value.get("size"), f"{_NAME}.size", 2)
    if tuple(sides) != size:
        raise FieldError("Every mask must have the size of its image",
                         f"{fields.where}: mask {sides[0]:g}x{sides[1]:g}, image {size[0]}x{size[1]}")  # fmt: skip
    counts = value.get("counts")
    if isinstance(counts, list):
        numbers = fields.numbers(counts, f"{_NAME}.counts")
        if any(number != int(number) for number in numbers):
            raise FieldError("Run lengths must be whole numbers", shown)
        runs = np.array(numbers, dtype=np.float64)
        counts = [int(number) for number in numbers]
    elif isinstance(counts, str):
        unpacked = unpack_runs(counts)
        if unpacked is None:
            raise FieldError("Run lengths that are packed into text must be COCO's", shown)
        runs = unpacked.astype(np.float64)
    else:
        raise FieldError("Run lengths must be a list of numbers, or text", shown)
    if (runs < 0).any() or runs.sum() != size[0] * size[1]:
        raise FieldError("Run lengths must be positive, and sum to height times width",
                         f"{shown}: sum {runs.sum():g} for {size[0]}x{size[1]}")  # fmt: skip
    return from_runs(size, counts)


def unpack_runs(text: str) -> np.ndarray | None:
    """Return the run lengths, int64 [n], that COCO packed into text; None: the text is none of these.

    A number is written in groups of five bits, the lowest first, as letters from `0` on; a sixth bit says that more
    follow. From the fourth number on, what is written is the difference from the one two before.
    """
    letters = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64) - 48
    if not len(letters) or letters.min() < 0 or letters.max() > 63 or letters[-1] & 32:
        return None
    ends = np.flatnonzero((letters & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_LETTERS:
        return None
    places = np.arange(len(letters)) - np.repeat(starts, lengths)
    values: np.ndarray = np.add.reduceat((letters & 31) << (5 * places), starts)
    values = values - np.where(letters[ends] & 16, np.int64(1) << (5 * lengths), 0)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values
