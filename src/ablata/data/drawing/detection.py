"""Drawing detections over their images: boxes with words, masks, and attention between objects."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ablata.data.drawing.panels import as_colors, sized
from ablata.data.labels.table import Color

_FRACTION = 0.45
"""Of a mask's colour over its image."""
_TURN = 0.618034
"""Step around the colour wheel between one class and the next: the golden section keeps any number of them apart."""
_LETTERS = 12
_FAINTEST = 0.03
"""Weights below it are not drawn."""


def object_palette(count: int) -> tuple[Color, ...]:
    """Return `count` bright colours, which are seen on dark and on light images."""
    found = []
    for number in range(count):
        red, green, blue = colorsys.hsv_to_rgb((0.33 + number * _TURN) % 1, 0.8 if number % 2 else 0.55, 1.0)
        found.append((round(255 * red), round(255 * green), round(255 * blue)))
    return tuple(found)


def objects_drawn(
    pixels: np.ndarray,
    boxes: Sequence[Sequence[float]],
    words: Sequence[str],
    colors: Sequence[Color],
    masks: np.ndarray | None = None,
    width: int | None = None,
) -> Image.Image:
    """Draw objects over an image, the first of them on top.

    Args:
        pixels: uint8 [H, W, C], see `as_colors`.
        boxes: left, top, right, bottom of each, half open, in pixels of the image.
        words: what is written on each box; empty: nothing.
        colors: of each.
        masks: bool [N, H, W]; None: boxes alone.
        width: of the drawing; small images are enlarged by a whole factor up to it. None: that of the image.
    """
    shown = as_colors(pixels).astype(np.float32)
    for mask, color in reversed(list(zip(() if masks is None else masks, colors, strict=False))):
        shown[mask] += (np.array(color, dtype=np.float32) - shown[mask]) * _FRACTION
    image = sized(Image.fromarray(shown.round().astype(np.uint8)), width)
    pen, factor = ImageDraw.Draw(image), image.width / pixels.shape[1]
    corners = [_corners(box, factor) for box in boxes]
    for corner, color in reversed(list(zip(corners, colors, strict=True))):
        pen.rectangle(corner, outline=color, width=2)
    _tag_all(pen, corners, words, colors, image.size)
    return image


def looks_drawn(
    pixels: np.ndarray,
    boxes: Sequence[Sequence[float]],
    words: Sequence[str],
    colors: Sequence[Color],
    weights: np.ndarray,
    width: int,
) -> Image.Image:
    """Draw boxes over a darkened image, with an arrow from each to those it looks at, the wider the more it does.

    Args:
        pixels: uint8 [H, W, C], see `as_colors`.
        boxes: as of `objects_drawn`.
        words: likewise.
        colors: of each box and of the arrows that start there.
        weights: float [N, N], in 0..1: how much a row's box looks at a column's.
        width: of the drawing.
    """
    image = sized(Image.fromarray((as_colors(pixels) * 0.5).astype(np.uint8)), width)
    pen, factor = ImageDraw.Draw(image), image.width / pixels.shape[1]
    corners = [_corners(box, factor) for box in boxes]
    for box, color in zip(corners, colors, strict=True):
        pen.rectangle(box, outline=color, width=2)
    _tag_all(pen, corners, words, colors, image.size)
    for row, column in zip(*np.nonzero(weights >= _FAINTEST), strict=True):
        if row != column:
            _arrow(pen, corners[row], corners[column], colors[row], float(weights[row, column]))
    return image


def _corners(box: Sequence[float], factor: float) -> tuple[float, float, float, float]:
    """Return a box in pixels of the drawing, its last pixels included."""
    left, top, right, bottom = (factor * float(side) for side in box)
    return left, top, max(left, right - 1), max(top, bottom - 1)


_Corners = tuple[float, float, float, float]


def _tag_all(
    pen: ImageDraw.ImageDraw,
    corners: Sequence[_Corners],
    words: Sequence[str],
    colors: Sequence[Color],
    size: tuple[int, int],
) -> None:
    """Write a word on each box, on a patch of its colour, where it covers no other word.

    A word that has no free place is left out where the same one stands elsewhere in the same colour, which tells it.
    """
    taken: list[_Corners] = []
    told: set[tuple[str, Color]] = set()
    for corner, word, color in zip(corners, words, colors, strict=True):
        if not word:
            continue
        places = list(_patches(corner, word, size))
        free = next((place for place in places if not any(_overlap(place, other) for other in taken)), None)
        if free is None and (word, color) in told:
            continue
        patch = free or places[0]
        _tag(pen, patch, word, color)
        taken.append(patch)
        told.add((word, color))


def _patches(corner: _Corners, word: str, size: tuple[int, int]) -> Iterator[_Corners]:
    """Yield where a box's word may stand: above it where there is room, inside its corners, below it."""
    wide, high = _font().getlength(word) + 4, _LETTERS + 3
    left, top, right, bottom = corner
    for x, y in (
        (left, top - high), (right - wide, top - high), (left, top), (right - wide, top),
        (left, bottom - high), (right - wide, bottom - high), (left, bottom), (right - wide, bottom),
    ):  # fmt: skip
        if 0 <= y <= size[1] - high:
            x = max(0.0, min(x, size[0] - wide))
            yield x, y, x + wide, y + high
    x = max(0.0, min(left, size[0] - wide))
    yield x, max(0.0, top), x + wide, max(0.0, top) + high


def _overlap(one: _Corners, other: _Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=_LETTERS)


def _tag(pen: ImageDraw.ImageDraw, patch: _Corners, word: str, color: Color) -> None:
    """Write a word on a patch of a colour, in black or white as can be read."""
    pen.rectangle(patch, fill=color)
    light = 0.3 * color[0] + 0.59 * color[1] + 0.11 * color[2] > 110
    pen.text((patch[0] + 2, patch[1] + 1), word, fill=(0, 0, 0) if light else (255, 255, 255), font=_font())


def _arrow(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float, float, float],
    end: tuple[float, float, float, float],
    color: Color,
    weight: float,
) -> None:
    """Draw an arrow between the middles of two boxes, a little to its right, so that the way back has its own."""
    (x0, y0), (x1, y1) = (((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (start, end))
    length = math.hypot(x1 - x0, y1 - y0)
    if length < 1:
        return
    across, down = (x1 - x0) / length, (y1 - y0) / length
    x0, y0, x1, y1 = x0 - 4 * down, y0 + 4 * across, x1 - 4 * down, y1 + 4 * across
    pen.line((x0, y0, x1, y1), fill=color, width=max(1, round(10 * weight)))
    head = 5 + 8 * weight
    wings = [(x1 - head * (across + side * 0.5 * down), y1 - head * (down - side * 0.5 * across)) for side in (-1, 1)]
    pen.polygon([(x1, y1), *wings], fill=color)
