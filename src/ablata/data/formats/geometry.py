"""Drawn figures as polygons: rectangles that are turned, ellipses, circles."""

from __future__ import annotations

import math

from ablata.data.formats.description import Polygon

_CORNERS = 64
"""Points of an ellipse."""


def rectangle(left: float, top: float, width: float, height: float, degrees: float = 0.0) -> Polygon:
    """Return the corners of a rectangle that is turned clockwise about its upper left corner."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return tuple(number for x, y in corners for number in (left + x * cos - y * sin, top + x * sin + y * cos))


def turned_rectangle(left: float, top: float, right: float, bottom: float, degrees: float) -> Polygon:
    """Return the corners of a rectangle that is turned clockwise about its middle."""
    return _turned(((left, top), (right, top), (right, bottom), (left, bottom)),
                   ((left + right) / 2, (top + bottom) / 2), degrees)  # fmt: skip


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0.0) -> Polygon:
    """Return points of an ellipse around a middle, of two radii, turned clockwise."""
    angles = (2 * math.pi * step / _CORNERS for step in range(_CORNERS))
    points = tuple((x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles)
    return _turned(points, (x, y), degrees)


def _turned(points: tuple[tuple[float, float], ...], middle: tuple[float, float], degrees: float) -> Polygon:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    found: list[float] = []
    for x, y in points:
        right, down = x - middle[0], y - middle[1]
        found += [middle[0] + right * cos - down * sin, middle[1] + right * sin + down * cos]
    return tuple(found)
