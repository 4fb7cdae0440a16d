"""Outlines of masks along the edges of their pixels: polygons that are the same pixels when they are filled."""

from __future__ import annotations

import numpy as np

from ablata.data.detection.rle import decode
from ablata.structures.detection import Rle

Point = tuple[int, int]


def outlines(mask: Rle) -> tuple[tuple[float, ...], ...]:
    """Return the outlines of a mask's parts and of its holes, x, y, x, y, ...; as one polygon, filled by the rule of
    even and odd (COCO's and OpenCV's), they are its pixels again."""
    pixels = decode([mask], *mask.size)[0].numpy()
    return tuple(tuple(float(number) for point in loop for number in point) for loop in loops(pixels))


def loops(pixels: np.ndarray) -> list[list[Point]]:
    """Return the borders of a mask, bool [H, W], as corners (x, y) of loops.

    Pixels lie to the right of the way: around a part the area is positive (y goes down), around a hole negative. Where
    two pixels meet at a corner alone, the way stays with its own pixel.
    """
    following = _edges(pixels)
    found = []
    while following:
        start = next(iter(following))
        corner, loop, heading = start, [], (0, 0)
        while True:
            ends = following[corner]
            end = ends[0] if len(ends) == 1 else _right_turn(corner, heading, ends)
            ends.remove(end)
            if not ends:
                del following[corner]
            turned = (end[0] - corner[0], end[1] - corner[1])
            if turned != heading:
                loop.append(corner)
            corner, heading = end, turned
            if corner == start:
                break
        first = (loop[1][0] - loop[0][0], loop[1][1] - loop[0][1])
        if _same_way(first, heading):
            loop = loop[1:]  # the start was in the middle of a straight line
        found.append(loop)
    return found


def _edges(pixels: np.ndarray) -> dict[Point, list[Point]]:
    """Return where the border goes on from each of its corners, an edge of one pixel at a time."""
    padded = np.pad(pixels, 1)
    inside = padded[1:-1, 1:-1]
    following: dict[Point, list[Point]] = {}
    # Along the top to the right, down the right side, along the bottom to the left, up the left side.
    for outside, start, end in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (1, 1)),
        (padded[2:, 1:-1], (1, 1), (0, 1)),
        (padded[1:-1, :-2], (0, 1), (0, 0)),
    ):
        rows, columns = np.nonzero(inside & ~outside)
        for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
            following.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    return following


def _right_turn(corner: Point, heading: Point, ends: list[Point]) -> Point:
    """Return the end that a right turn leads to (y goes down), which stays with the pixel at hand."""
    right = (corner[0] - heading[1], corner[1] + heading[0])
    return right if right in ends else ends[0]


def _same_way(first: Point, second: Point) -> bool:
    across = first[0] * second[1] - first[1] * second[0]
    along = first[0] * second[0] + first[1] * second[1]
    return across == 0 and along > 0
