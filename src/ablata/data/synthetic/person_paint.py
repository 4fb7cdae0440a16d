"""Rendering a synthetic person: an appearance in a pose before a camera.

A body is drawn from joints, four times as large as the image, and averaged down. Heights are fractions of the body's
above its feet; widths are fractions of the body's height from its axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ablata.data.synthetic.person_appearance import Appearance, Color, Domain, draw_appearance, hsv

_STRETCH = 3
"""Width of a camera's place, in widths of an image: where in it a person walks differs by image."""


@dataclass(frozen=True)
class Camera:
    """A camera: what it does to every image.

    Attributes:
        place: uint8 [H, 3 W, 3], what is behind the persons.
        gain: float64 [3], factor on red, green, blue.
        gamma: exponent on values in 0..1.
        saturation: factor on the distance from grey.
        heading: how persons mostly walk, in radians: 0 towards the camera, pi / 2 to its right, pi away from it.
        scale: mean height of the tallest person, as a fraction of the image's.
        squash: factor on the lower half of a body, below 1 for a camera that looks down.
        blur: standard deviation in pixels of the image.
        noise: standard deviation in grey levels.
        cover: colour of what stands before the path and covers persons.
    """

    place: np.ndarray
    gain: np.ndarray
    gamma: float
    saturation: float
    heading: float
    scale: float
    squash: float
    blur: float
    noise: float
    cover: Color

    def develop(self, image: np.ndarray, light: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return the image that the camera makes of what it sees.

        Args:
            image: uint8 [H, W, 3].
            light: float64 [3], red, green, blue of the moment's light, about 1.
            random: drawn from for noise.

        Returns:
            uint8 [H, W, 3].
        """
        values: np.ndarray = image.astype(np.float32) / 255
        if self.blur > 0:
            values = cv2.GaussianBlur(values, (0, 0), self.blur)
        grey = values.mean(axis=2, keepdims=True)
        values = np.clip(grey + self.saturation * (values - grey), 0, 1) ** self.gamma
        values = values * (255 * light * self.gain).astype(np.float32)
        values += self.noise * random.standard_normal(values.shape, dtype=np.float32)
        developed: np.ndarray = np.clip(values, 0, 255).astype(np.uint8)
        return developed


def draw_camera(
    random: np.random.Generator, number: int, cameras: int, domain: Domain, gap: float, size: tuple[int, int]
) -> Camera:
    """Draw a camera at random.

    Args:
        random: the camera's own stream.
        number: its place among the cameras, from 0; casts and headings are spread evenly over them.
        cameras: how many there are.
        domain: chooses the places and the daylight.
        gap: factor on how far cameras differ in light and colour; 0: not at all.
        size: height and width of an image of it, in pixels.
    """
    turn = 2 * np.pi * (number + random.uniform(-0.2, 0.2)) / cameras
    hue = turn + (0.5 if domain == "winter" else 2.6)
    cast = np.cos(hue - 2 * np.pi * np.arange(3) / 3)
    day = np.array([0.96, 0.99, 1.04] if domain == "winter" else [1.04, 1.0, 0.94])
    brightness = random.uniform(-0.2, 0.2)
    return Camera(
        place=paint_place(random, domain, size[0], _STRETCH * size[1]),
        gain=day * np.exp(gap * (0.1 * cast + brightness)),
        gamma=float(np.exp(gap * random.uniform(-0.2, 0.2))),
        saturation=float(np.exp(gap * random.uniform(-0.3, 0.1))),
        heading=turn,
        scale=random.uniform(0.78, 0.95),
        squash=random.uniform(0.82, 1.0),
        blur=random.uniform(0.1, 0.9),
        noise=random.uniform(3.0, 9.0),
        cover=hsv(random.random(), random.uniform(0.05, 0.4), random.uniform(0.2, 0.6)),
    )


def paint_place(random: np.random.Generator, domain: Domain, height: int, width: int) -> np.ndarray:
    """Paint what is behind the persons, uint8 [height, width, 3]: a wall, a hedge or shops over a ground."""
    winter = domain == "winter"
    horizon = int(height * random.uniform(0.3, 0.55))
    hue, shine = (random.uniform(0.5, 0.65), 0.12) if winter else (random.uniform(0.06, 0.16), 0.3)
    image = np.zeros((height, width, 3), np.uint8)
    image[:horizon] = hsv(random.random(), random.uniform(0.05, 0.4), random.uniform(0.35, 0.75))
    shades = np.linspace(0.8, 1.05, height - horizon)[:, None, None]
    image[horizon:] = np.clip(np.array(hsv(hue, shine, random.uniform(0.4, 0.75))) * shades, 0, 255)
    painter = (_windows, _bricks, _leaves)[random.integers(3)]
    painter(image[:horizon], random, winter)
    _paving(image[horizon:], random)
    for _ in range(random.integers(1, 5)):
        left, thick = int(random.integers(width)), max(1, width // 60)
        tall = int(horizon * random.uniform(0.0, 0.6))
        foot = horizon + int((height - horizon) * random.uniform(0.05, 0.3))
        image[tall:foot, left : left + thick] = hsv(random.random(), 0.2, random.uniform(0.15, 0.5))
    grain = random.normal(0, 5, size=(height, width, 1))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def _windows(image: np.ndarray, random: np.random.Generator, winter: bool) -> None:
    height, width = image.shape[:2]
    step = int(width * random.uniform(0.12, 0.25))
    pane = hsv(0.58, 0.3, random.uniform(0.2, 0.35) if winter else random.uniform(0.5, 0.9))
    top, foot = int(height * random.uniform(0.05, 0.3)), int(height * random.uniform(0.75, 1.0))
    for left in range(int(random.integers(step)), width, step):
        image[top:foot, left : left + int(0.6 * step)] = pane


def _bricks(image: np.ndarray, random: np.random.Generator, winter: bool) -> None:
    height = len(image)
    course, joint = max(3, height // int(random.integers(6, 12))), 0.8 if winter else 0.88
    for number, top in enumerate(range(0, height, course)):
        image[top] = (image[top] * joint).astype(np.uint8)
        first = course if number % 2 else 0
        rows = image[top : top + course]
        rows[:, first :: 2 * course] = (rows[:, first :: 2 * course] * joint).astype(np.uint8)


def _leaves(image: np.ndarray, random: np.random.Generator, winter: bool) -> None:
    height, width = image.shape[:2]
    for _ in range(width * height // 60):
        shade = hsv(random.uniform(0.05, 0.12), 0.3, random.uniform(0.2, 0.45))
        if not winter:
            shade = hsv(random.uniform(0.2, 0.36), 0.6, random.uniform(0.25, 0.65))
        centre = int(random.integers(width)), int(random.integers(height))
        cv2.circle(image, centre, int(random.integers(2, max(3, height // 8))), shade, -1)


def _paving(image: np.ndarray, random: np.random.Generator) -> None:
    """Draw joints that close up towards the horizon."""
    height, width = image.shape[:2]
    joint = random.uniform(0.75, 1.2)
    for row in (np.linspace(0, 1, int(random.integers(3, 7))) ** 2 * (height - 1)).astype(int):
        image[row] = np.clip(image[row] * joint, 0, 255)
    slope = random.uniform(-0.6, 0.6)
    for left in range(0, width, max(4, width // int(random.integers(6, 14)))):
        color = np.clip(image[height // 2, 0] * joint, 0, 255).tolist()
        cv2.line(image, (left, 0), (left + int(slope * height), height), color, 1)


_FINER = 4
"""Factor on both sides of the canvas that an image is averaged from."""
_SHOULDER, _WAIST, _HIP, _KNEE, _CHIN = 0.82, 0.58, 0.5, 0.27, 0.87


@dataclass(frozen=True)
class Shot:
    """A shot: pose, place and light of one image.

    Attributes:
        heading: radians, 0 towards the camera, pi / 2 to its right, pi away from it.
        stride: angle of the legs, signed, in radians.
        swing: angle of the arms, signed, in radians.
        x: place of the feet, as a fraction of the image's width.
        foot: the same of its height.
        height: height of the tallest person, as a fraction of the image's.
        light: float64 [3], its red, green and blue, about 1.
        offset: where in the camera's place the person walks, in 0..1.
        cover: (x, top, width) of what stands in front, in fractions of the image, or None.
        company: another person at the side, and the x of his feet, or None.
    """

    heading: float
    stride: float
    swing: float
    x: float
    foot: float
    height: float
    light: np.ndarray
    offset: float
    cover: tuple[float, float, float] | None
    company: tuple[Appearance, float] | None


def draw_shot(random: np.random.Generator, camera: Camera, domain: Domain, occlusion: float) -> Shot:
    """Draw how a person is met by a camera; `occlusion` is the fraction of images with something or someone before."""
    cover = company = None
    if random.random() < occlusion:
        cover = random.uniform(-0.1, 0.8), random.uniform(0.5, 0.85), random.uniform(0.25, 0.6)
    if random.random() < 0.5 * occlusion:
        company = draw_appearance(random, domain), random.choice((-1, 1)) * random.uniform(0.38, 0.55) + 0.5
    height = camera.scale * random.uniform(0.82, 1.12)
    return Shot(
        heading=camera.heading + random.normal(0, 0.45),
        stride=random.uniform(-0.45, 0.45),
        swing=random.uniform(-0.5, 0.5),
        x=0.5 + random.normal(0, 0.07),
        foot=0.5 + 0.5 * height + random.normal(0, 0.02),
        height=height,
        light=np.exp(random.normal(0, 0.18) + random.normal(0, 0.05, size=3)),
        offset=random.random(),
        cover=cover,
        company=company,
    )


def paint_person(
    look: Appearance, camera: Camera, shot: Shot, size: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """Paint an image of a person.

    Args:
        look: who.
        camera: where.
        shot: how.
        size: height and width in pixels.
        random: drawn from for the camera's noise.

    Returns:
        uint8 [height, width, 3].
    """
    height, width = size
    left = int(shot.offset * (camera.place.shape[1] - width))
    canvas = cv2.resize(camera.place[:, left : left + width], (width * _FINER, height * _FINER))
    if shot.company is not None:
        other, x = shot.company
        _Body(canvas, other, camera, shot, x).paint()
    _Body(canvas, look, camera, shot, shot.x).paint()
    if shot.cover is not None:
        x, top, wide = shot.cover
        corner = int(x * width * _FINER), int(top * height * _FINER)
        cv2.rectangle(canvas, corner, (corner[0] + int(wide * width * _FINER), height * _FINER), camera.cover, -1)
    image = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return camera.develop(image, shot.light, random)


class _Body:
    """A person on a canvas: joints from heading and stride, then strokes from the far side to the near one."""

    def __init__(self, canvas: np.ndarray, look: Appearance, camera: Camera, shot: Shot, x: float) -> None:
        self.canvas, self.look, self.shot = canvas, look, shot
        high, wide = canvas.shape[:2]
        self.unit = look.height * shot.height * high
        self.axis, self.foot = x * wide, shot.foot * high
        self.squash = camera.squash
        self.front, self.side = float(np.cos(shot.heading)), float(np.sin(shot.heading))
        self.half = look.build * (0.105 * abs(self.front) + 0.065 * abs(self.side))

    def paint(self) -> None:
        """Paint everything."""
        look, away = self.look, self.front < 0
        if look.bag == "backpack" and not away:
            self._backpack()
        if not away:
            self._long_hair()
        self._arm(-1)
        self._leg(-1)
        self._leg(1)
        if look.lower_kind == "skirt":
            hem = 0.3
            self._shape(((_WAIST, 0.8), (hem, 1.15)), look.lower)
        self._torso()
        self._arm(1)
        if look.bag == "backpack" and away:
            self._backpack()
        self._head()
        if away:
            self._long_hair()
        if look.bag in ("shoulder", "hand"):
            self._carried()

    def _at(self, across: float, up: float) -> tuple[int, int]:
        """Return the pixel of a point on the body; below the hip heights are squashed."""
        low = min(up, _HIP)
        return round(self.axis + across * self.unit), round(self.foot - (low * self.squash + up - low) * self.unit)

    def _limb(self, points: list[tuple[int, int]], thick: float, color: Color) -> None:
        cv2.polylines(self.canvas, [np.array(points, np.int32)], False, color, max(1, round(thick * self.unit)))

    def _shape(self, edges: tuple[tuple[float, float], tuple[float, float]], color: Color, shift: float = 0) -> None:
        """Fill between two heights; each edge is (height, factor on the body's half width)."""
        (top, upper), (foot, lower) = edges
        corners = [
            self._at(shift - upper * self.half, top),
            self._at(shift + upper * self.half, top),
            self._at(shift + lower * self.half, foot),
            self._at(shift - lower * self.half, foot),
        ]
        cv2.fillConvexPoly(self.canvas, np.array(corners, np.int32), color)

    def _leg(self, direction: int) -> None:
        look, stride = self.look, direction * self.shot.stride
        apart, forward = 0.045 * abs(self.front) * direction * look.build, np.sin(stride) * self.side
        lift = 0.03 * max(stride, 0) * abs(self.front)
        hip = self._at(apart, _HIP)
        knee = self._at(apart + 0.22 * forward, _KNEE + lift)
        foot = self._at(apart + 0.42 * forward, 0.03 + lift)
        thick = 0.085 * look.build
        shade = _shaded(look.lower, 0.8 if direction < 0 else 1.0)
        if look.lower_kind == "trousers":
            self._limb([hip, knee, foot], thick, shade)
        else:
            self._limb([hip, knee, foot], 0.75 * thick, look.skin)
            if look.lower_kind == "shorts":
                self._limb([hip, knee], 1.15 * thick, shade)
        toe = self._at(apart + 0.42 * forward + 0.07 * self.side, 0.015 + lift)
        self._limb([foot, toe], 0.05, look.shoes)

    def _arm(self, direction: int) -> None:
        look, swing = self.look, -direction * self.shot.swing
        apart = direction * (self.half + 0.01) * (1 if abs(self.front) > 0.5 else 0.35)
        forward = 0.3 * np.sin(swing) * self.side
        shoulder, elbow = self._at(apart, _SHOULDER - 0.03), self._at(apart * 1.12 + 0.4 * forward, 0.65)
        hand = self._at(apart * 1.08 + forward, 0.49)
        shade = _shaded(look.upper, 0.85)
        self._limb([elbow, hand], 0.045, shade if look.long_sleeves else look.skin)
        self._limb([shoulder, elbow], 0.06, shade)
        cv2.circle(self.canvas, hand, max(1, round(0.022 * self.unit)), look.skin, -1)

    def _torso(self) -> None:
        look = self.look
        hem = min(look.hem, _HIP - 0.02) if look.lower_kind == "trousers" else look.hem
        flare = 1.1 if look.hem < 0.4 else 0.92
        self._shape(((_SHOULDER + 0.02, 0.85), (hem, flare)), look.upper)
        if look.pattern == "stripes":
            for top in np.arange(_SHOULDER - 0.02, hem, -0.08):
                self._shape(((top, 0.9), (top - 0.035, 0.9)), look.second)
        elif look.pattern == "halves":
            self._shape((((_SHOULDER + hem) / 2, 0.9), (hem, flare)), look.second)
        elif look.pattern == "print" and self.front > 0.2:
            self._shape(((0.76, 0.45 * self.front), (0.65, 0.45 * self.front)), look.second, 0.05 * self.side)
        elif look.pattern == "open" and self.front > 0.1:
            self._shape(((_SHOULDER, 0.4 * self.front), (hem, 0.25 * self.front)), look.second, 0.06 * self.side)

    def _head(self) -> None:
        look, radius = self.look, 0.062 * self.unit
        centre = self._at(0.015 * self.side, _CHIN + 0.06)
        axes = round(0.85 * radius), round(1.1 * radius)
        self._limb([self._at(0, _CHIN), self._at(0, _SHOULDER)], 0.05, look.skin)
        covered = look.hair_style != "bald" and self.front < 0
        cv2.ellipse(self.canvas, centre, axes, 0, 0, 360, look.hair if covered else look.skin, -1)
        if look.hair_style != "bald" and not covered:
            turned = 25 * self.side
            cv2.ellipse(self.canvas, centre, axes, 0, 180 - turned, 360 - turned, look.hair, -1)
        if look.hat is not None:
            crown = centre[0], centre[1] - round(0.35 * radius)
            cv2.ellipse(self.canvas, crown, axes, 0, 180, 360, look.hat, -1)
            brim = crown[0] + round(1.2 * radius * self.side), crown[1]
            self._limb([crown, brim], 0.03, look.hat)

    def _long_hair(self) -> None:
        if self.look.hair_style == "long":
            top, end = self._at(-0.02 * self.side, _CHIN + 0.05), self._at(-0.035 * self.side, 0.78)
            self._limb([top, end], 0.13, self.look.hair)

    def _backpack(self) -> None:
        wide = 0.75 if self.front < 0 else 1.02
        self._shape(((0.8, wide), (0.57, wide)), self.look.bag_color, -0.09 * self.side)

    def _carried(self) -> None:
        """A bag at the person's left: seen on the right from the front, on the left from behind, hidden beyond."""
        if self.side > 0.7:
            return
        x, color = self.half * self.front + 0.03 * self.side, self.look.bag_color
        low = 0.5 if self.look.bag == "shoulder" else 0.36
        if self.look.bag == "shoulder":
            self._limb([self._at(-0.6 * x, _SHOULDER), self._at(x, low + 0.05)], 0.02, color)
        corner, opposite = self._at(x - 0.06, low + 0.06), self._at(x + 0.06, low - 0.07)
        cv2.rectangle(self.canvas, corner, opposite, color, -1)


def _shaded(color: Color, factor: float) -> Color:
    red, green, blue = color
    return red * factor, green * factor, blue * factor
