"""The cameras that see made persons: each has a place behind the persons, a light, a colour cast and a view of its own.

A camera looks along a path, so that most persons show it the same side; the cameras of a set stand around the circle,
and a person who is seen from the front by one is seen from behind by another.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ablata.data.synthetic.person_looks import Colour, Domain, hsv

_STRETCH = 3
"""Width of a camera's place, in widths of an image: where in it a person walks differs by image."""


@dataclass(frozen=True)
class Camera:
    """What one camera does to every image.

    Attributes:
        place: uint8 [H, 3 W, 3], what is behind the persons.
        gain: float64 [3], factor on red, green, blue.
        gamma: exponent on values in 0..1.
        saturation: factor on the distance from grey.
        heading: how persons mostly walk, in radians: 0 towards the camera, pi / 2 to its right, pi away from it.
        scale: mean height of the tallest person, as a share of the image's.
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
    cover: Colour

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
    """Draw a camera.

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
        colour = np.clip(image[height // 2, 0] * joint, 0, 255).tolist()
        cv2.line(image, (left, 0), (left + int(slope * height), height), colour, 1)
