"""Painting a laid-out street: the image, and at the same strokes the class and the instance of every pixel."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

from ablata.data.synthetic.scene_layout import PLACES, SEMANTIC, Street, Thing
from ablata.structures.scene import SceneSample

Point = tuple[float, float]
Color = tuple[float, float, float]

_CLASS = {name: number for number, name in enumerate(SEMANTIC)}
_INSTANCE_SHIFT = 4
"""A pixel's class and instance share one number, class + 16 * instance: each stroke is drawn twice, not thrice."""


class _Canvas:
    """An image and its ids, drawn on together. Coordinates are fractions of the width and height."""

    def __init__(self, height: int, width: int, light: float) -> None:
        self.image = np.zeros((height, width, 3), np.uint8)
        self.ids = np.zeros((height, width), np.uint16)
        self.scale = np.array([width, height], np.float64)
        self.light, self.value = light, 0

    def use(self, name: str, instance: int = 0) -> None:
        """Choose what the next strokes belong to: a semantic class and an instance (0: none)."""
        self.value = _CLASS[name] | instance << _INSTANCE_SHIFT

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """Fill a convex polygon."""
        corners = np.rint(np.asarray(points) * self.scale).astype(np.int32)
        cv2.fillConvexPoly(self.image, corners, self._lit(color))
        cv2.fillConvexPoly(self.ids, corners, self.value)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fill an upright box, at least one pixel in both directions."""
        if right <= 0 or left >= 1 or bottom <= 0 or top >= 1:
            return
        width, height = self.scale
        x0, y0 = max(round(left * width), 0), max(round(top * height), 0)
        x1, y1 = max(round(right * width), x0 + 1), max(round(bottom * height), y0 + 1)
        self.image[y0:y1, x0:x1] = self._lit(color)
        self.ids[y0:y1, x0:x1] = self.value

    def panes(self, left: float, top: float, right: float, bottom: float, step: Point, color: Color) -> None:
        """Colour rows and columns of window panes in a box that is painted already; their class stays the wall's."""
        (width, height), (across, down) = self.scale, step
        columns, rows = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
        in_columns = (columns > left + 0.2 * across) & (columns < right - 0.2 * across)
        in_rows = (rows > top + 0.2 * down) & (rows < bottom - 0.6 * down)
        in_columns &= ((columns - left) / across - 0.3) % 1 < 0.45
        in_rows &= ((rows - top) / down - 0.3) % 1 < 0.5
        self.image[np.ix_(in_rows, in_columns)] = self._lit(color)

    def disc(self, x: float, y: float, across: float, up: float, color: Color) -> None:
        """Fill an ellipse with half axes `across` and `up`, both fractions of the image's height."""
        width, height = self.scale
        centre = round(x * width), round(y * height)
        axes = max(round(across * height), 1), max(round(up * height), 1)
        cv2.ellipse(self.image, centre, axes, 0, 0, 360, self._lit(color), -1)
        cv2.ellipse(self.ids, centre, axes, 0, 0, 360, self.value, -1)

    def _lit(self, color: Color) -> tuple[int, int, int]:
        red, green, blue = color
        return min(int(red * self.light), 255), min(int(green * self.light), 255), min(int(blue * self.light), 255)


def paint(street: Street, height: int, width: int, ambiguity: float, random: np.random.Generator) -> SceneSample:
    """Paint a street.

    Args:
        street: the layout.
        height: pixels.
        width: pixels.
        ambiguity: fraction of lights and signs whose head is plain grey, so that only their company tells them apart.
        random: drawn from for grain.

    Returns:
        The sample; a thing of which no pixel is seen is left out.
    """
    canvas = _Canvas(height, width, street.light)
    _ground(canvas, street)
    for block in street.blocks:
        _house(canvas, street, *block)
    for tree in street.trees:
        _tree(canvas, *tree)
    for number, thing in enumerate(street.things, start=1):
        canvas.use(thing.name, number)
        _THING_PAINTERS[thing.name](canvas, thing, height / width, ambiguity)
    grain = random.integers(-9, 10, size=(height, width, 1), dtype=np.int16)
    image = np.clip(canvas.image + grain, 0, 255).astype(np.uint8)
    return _sample(street, image, canvas.ids)


def _sample(street: Street, image: np.ndarray, ids: np.ndarray) -> SceneSample:
    semantic = (ids & (1 << _INSTANCE_SHIFT) - 1).astype(np.uint8)
    drawn = ids >> _INSTANCE_SHIFT
    numbers = np.zeros(len(street.things) + 1, np.uint16)
    boxes, classes = [], []
    for number, thing in enumerate(street.things, start=1):
        seen = drawn == number
        columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
        if len(rows):
            boxes.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
            classes.append(_CLASS[thing.name])
            numbers[number] = len(boxes)
    return SceneSample(
        image=image,
        label=PLACES.index(street.place),
        semantic=semantic,
        instances=numbers[drawn],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(classes, np.int64),
    )


def _ground(canvas: _Canvas, street: Street) -> None:
    horizon, place = street.horizon, street.place
    canvas.use("sky")
    for band in range(4):
        fade = band / 3
        canvas.box(0, horizon * band / 4, 1, horizon * (band + 1) / 4, (110 + 80 * fade, 160 + 50 * fade, 225))
    if place in ("high street", "crossing"):
        canvas.use("pavement")
        canvas.box(0, horizon, 1, 1, (158, 152, 146))
    else:
        canvas.use("grass")
        canvas.box(0, horizon, 1, 1, (88, 140, 62))
    if place == "park":
        canvas.use("pavement")
        canvas.polygon(_strip(street, -street.road, street.road), (196, 180, 146))
        return
    if street.pavement:
        canvas.use("pavement")
        edge = street.road + street.pavement
        canvas.polygon(_strip(street, -edge, edge), (168, 162, 156))
    canvas.use("road")
    canvas.polygon(_strip(street, -street.road, street.road), (86, 88, 94))
    lines = (-0.34, 0.34) if place == "motorway" else (0.0,)
    for line in lines:
        for start in np.arange(0.1, 1.0, 0.24):
            across = line * street.road
            canvas.polygon(_strip(street, across - 0.012, across + 0.012, start, start + 0.12), (222, 222, 214))
    if place == "motorway":
        for side in (-1, 1):
            barrier = side * (street.road + 0.04)
            canvas.polygon(_strip(street, barrier - 0.02, barrier + 0.02), (205, 208, 212))
    if place == "crossing":
        for across in np.linspace(-0.88, 0.88, 8) * street.road:
            stripe = 0.07 * street.road
            canvas.polygon(_strip(street, across - stripe, across + stripe, 0.5, 0.72), (235, 235, 228))


def _strip(street: Street, left: float, right: float, far: float = 0.0, near: float = 1.02) -> list[Point]:
    """Corners of a strip of ground between two lines that meet at the vanishing point, from depth `far` to `near`."""
    top, bottom = (street.horizon + depth * (1 - street.horizon) for depth in (far, near))
    return [
        (street.side(left, top), top),
        (street.side(right, top), top),
        (street.side(right, bottom), bottom),
        (street.side(left, bottom), bottom),
    ]


def _house(canvas: _Canvas, street: Street, left: float, right: float, top: float, foot: float, look: float) -> None:
    canvas.use("building")
    wall = _hue(0.02 + 0.1 * look, 0.25 + 0.3 * look, 0.55 + 0.35 * (look * 7 % 1))
    canvas.box(left, top, right, foot, wall)
    size = foot - street.horizon
    if street.place == "suburb" and size > 0.05:
        middle, roof = (left + right) / 2, top - 0.45 * (foot - top)
        canvas.polygon([(left - 0.02, top), (right + 0.02, top), (middle, roof)], (150, 70, 55))
    if size < 0.05:
        return
    floor, column = max(0.13 * size / 0.3, 0.06), max(0.12 * size / 0.3, 0.06)
    pane = _hue(0.58, 0.35, 0.35 + 0.4 * (look * 3 % 1))
    canvas.panes(left, top, right, foot, (column, floor), pane)


def _tree(canvas: _Canvas, x: float, foot: float, height: float, look: float) -> None:
    canvas.use("tree")
    canvas.box(x - 0.05 * height, foot - 0.5 * height, x + 0.05 * height, foot, (98, 72, 48))
    for shift, rise, size, shade in ((-0.1, 0.6, 0.24, 0.42), (0.11, 0.64, 0.22, 0.48), (0.0, 0.78, 0.24, 0.54)):
        leaves = _hue(0.27 + 0.08 * look, 0.6, shade)
        canvas.disc(x + shift * height, foot - rise * height, size * height, size * height, leaves)


def _car(canvas: _Canvas, car: Thing, aspect: float, ambiguity: float) -> None:
    half, height = 0.62 * car.height * aspect, car.height
    paint_color = _hue(car.look, 0.75 if car.look * 11 % 1 < 0.7 else 0.05, 0.45 + 0.5 * (car.look * 5 % 1))
    left, right, top = car.x - half, car.x + half, car.y - height
    for wheel in (left + 0.1 * half, right - 0.5 * half):
        canvas.box(wheel, car.y - 0.25 * height, wheel + 0.4 * half, car.y, (28, 28, 30))
    canvas.box(left, car.y - 0.62 * height, right, car.y - 0.14 * height, paint_color)
    brow = top + 0.42 * height
    roof = [(left + 0.3 * half, top), (right - 0.3 * half, top), (right, brow), (left, brow)]
    canvas.polygon(roof, paint_color)
    canvas.box(left + 0.34 * half, top + 0.1 * height, right - 0.34 * half, top + 0.36 * height, (150, 190, 210))
    for lamp in (left + 0.06 * half, right - 0.36 * half):
        canvas.box(lamp, car.y - 0.5 * height, lamp + 0.3 * half, car.y - 0.36 * height, (235, 60, 50))


def _bus(canvas: _Canvas, bus: Thing, aspect: float, ambiguity: float) -> None:
    half, height = 0.4 * bus.height * aspect, bus.height
    body = (205, 60, 45) if bus.look < 0.5 else (230, 175, 40)
    left, right, top = bus.x - half, bus.x + half, bus.y - height
    for wheel in (left + 0.1 * half, right - 0.45 * half):
        canvas.box(wheel, bus.y - 0.12 * height, wheel + 0.35 * half, bus.y, (28, 28, 30))
    canvas.box(left, top, right, bus.y - 0.06 * height, body)
    canvas.box(left + 0.14 * half, top + 0.2 * height, right - 0.14 * half, top + 0.52 * height, (140, 180, 200))
    canvas.box(left + 0.4 * half, top + 0.05 * height, right - 0.4 * half, top + 0.14 * height, (250, 240, 180))


def _person(canvas: _Canvas, person: Thing, aspect: float, ambiguity: float) -> None:
    height, half = person.height, 0.15 * person.height * aspect
    x, foot = person.x, person.y
    legs, coat = _hue(0.6, 0.4, 0.25 + 0.2 * person.look), _hue(person.look, 0.7, 0.75)
    for leg in (x - 0.8 * half, x + 0.15 * half):
        canvas.box(leg, foot - 0.48 * height, leg + 0.65 * half, foot, legs)
    canvas.box(x - half, foot - 0.84 * height, x + half, foot - 0.44 * height, coat)
    canvas.disc(x, foot - 0.91 * height, 0.085 * height, 0.09 * height, (224, 180, 150))


def _light(canvas: _Canvas, light: Thing, aspect: float, ambiguity: float) -> None:
    top = _post(canvas, light, aspect)
    half, height = 0.09 * light.height * aspect, light.height
    plain = light.look < ambiguity
    canvas.box(light.x - half, top, light.x + half, top + 0.34 * height, (120, 120, 122) if plain else (35, 36, 40))
    if not plain:
        lamp, color = ((0, (240, 50, 40)), (1, (245, 190, 40)), (2, (60, 220, 90)))[int(light.look * 997) % 3]
        canvas.disc(light.x, top + (0.06 + 0.11 * lamp) * height, 0.05 * height, 0.05 * height, color)


def _sign(canvas: _Canvas, sign: Thing, aspect: float, ambiguity: float) -> None:
    top = _post(canvas, sign, aspect)
    half, height = 0.14 * sign.height * aspect, sign.height
    if sign.look < ambiguity:
        canvas.box(sign.x - 0.65 * half, top, sign.x + 0.65 * half, top + 0.34 * height, (120, 120, 122))
        return
    canvas.disc(sign.x, top + 0.15 * height, 0.16 * height, 0.16 * height, (215, 40, 40))
    canvas.disc(sign.x, top + 0.15 * height, 0.09 * height, 0.09 * height, (245, 245, 240))


def _post(canvas: _Canvas, thing: Thing, aspect: float) -> float:
    """Draw a post and return the y of its top."""
    half, top = 0.02 * thing.height * aspect, thing.y - thing.height
    canvas.box(thing.x - half, top, thing.x + half, thing.y, (70, 72, 76))
    return top


_THING_PAINTERS = {"car": _car, "bus": _bus, "person": _person, "light": _light, "sign": _sign}


def _hue(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return red * 255, green * 255, blue * 255
