"""Painting a made person: a look in a pose before a camera.

A body is drawn from joints, four times as large as the image and then averaged down. Heights are shares of the body's
above its feet; widths are shares of the body's height from its axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ablata.data.synthetic.person_cameras import Camera
from ablata.data.synthetic.person_looks import Colour, Domain, Look, draw_look

_FINER = 4
"""Factor on both sides of the canvas that an image is averaged from."""
_SHOULDER, _WAIST, _HIP, _KNEE, _CHIN = 0.82, 0.58, 0.5, 0.27, 0.87


@dataclass(frozen=True)
class Shot:
    """One image's pose, place and light.

    Attributes:
        heading: radians, 0 towards the camera, pi / 2 to its right, pi away from it.
        stride: angle of the legs, signed, in radians.
        swing: angle of the arms, signed, in radians.
        x: place of the feet, as a share of the image's width.
        foot: the same of its height.
        height: height of the tallest person, as a share of the image's.
        light: float64 [3], its red, green and blue, about 1.
        offset: where in the camera's place the person walks, in 0..1.
        cover: (x, top, width) of what stands in front, in shares of the image, or None.
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
    company: tuple[Look, float] | None


def draw_shot(random: np.random.Generator, camera: Camera, domain: Domain, occlusion: float) -> Shot:
    """Draw how a person is met by a camera; `occlusion` is the share of images with something or someone before."""
    cover = company = None
    if random.random() < occlusion:
        cover = random.uniform(-0.1, 0.8), random.uniform(0.5, 0.85), random.uniform(0.25, 0.6)
    if random.random() < 0.5 * occlusion:
        company = draw_look(random, domain), random.choice((-1, 1)) * random.uniform(0.38, 0.55) + 0.5
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
    look: Look, camera: Camera, shot: Shot, size: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    """Paint an image.

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

    def __init__(self, canvas: np.ndarray, look: Look, camera: Camera, shot: Shot, x: float) -> None:
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

    def _limb(self, points: list[tuple[int, int]], thick: float, colour: Colour) -> None:
        cv2.polylines(self.canvas, [np.array(points, np.int32)], False, colour, max(1, round(thick * self.unit)))

    def _shape(self, edges: tuple[tuple[float, float], tuple[float, float]], colour: Colour, shift: float = 0) -> None:
        """Fill between two heights; each edge is (height, factor on the body's half width)."""
        (top, upper), (foot, lower) = edges
        corners = [
            self._at(shift - upper * self.half, top),
            self._at(shift + upper * self.half, top),
            self._at(shift + lower * self.half, foot),
            self._at(shift - lower * self.half, foot),
        ]
        cv2.fillConvexPoly(self.canvas, np.array(corners, np.int32), colour)

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
        self._shape(((0.8, wide), (0.57, wide)), self.look.bag_colour, -0.09 * self.side)

    def _carried(self) -> None:
        """A bag at the person's left: seen on the right from the front, on the left from behind, hidden beyond."""
        if self.side > 0.7:
            return
        x, colour = self.half * self.front + 0.03 * self.side, self.look.bag_colour
        low = 0.5 if self.look.bag == "shoulder" else 0.36
        if self.look.bag == "shoulder":
            self._limb([self._at(-0.6 * x, _SHOULDER), self._at(x, low + 0.05)], 0.02, colour)
        corner, opposite = self._at(x - 0.06, low + 0.06), self._at(x + 0.06, low - 0.07)
        cv2.rectangle(self.canvas, corner, opposite, colour, -1)


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = colour
    return red * factor, green * factor, blue * factor
