"""Appearance of a synthetic person, the same in all images: body, hair, clothes, shoes and bag.

Colours come from the wardrobe of a domain. Winter's is dark and alike, with coats, hats and long sleeves; summer's is
bright, with short sleeves, shorts and skirts. Most colours are common ones, so that many persons share each of them and
only the whole look tells them apart.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

T = TypeVar("T")

Domain = Literal["winter", "summer"]
Color = tuple[float, float, float]
"""Red, green, blue in 0..255."""

Pattern = Literal["plain", "stripes", "halves", "print", "open"]
"""plain: one colour; stripes: across; halves: another colour below the chest; print: a patch on the chest, seen from
the front; open: another colour between the sides, seen from the front."""

_Swatch = tuple[float, float, float, float]
"""Hue, saturation and value in 0..1, and how often it is worn."""

_BLACK, _GREY, _WHITE = (0.6, 0.1, 0.14, 5.0), (0.6, 0.06, 0.45, 2.0), (0.12, 0.04, 0.88, 2.0)
_UPPER: dict[Domain, tuple[_Swatch, ...]] = {
    "winter": (
        _BLACK, _GREY, (0.62, 0.55, 0.28, 3.0), (0.3, 0.35, 0.3, 1.5), (0.07, 0.5, 0.36, 1.5), (0.97, 0.6, 0.36, 1.2),
        (0.1, 0.3, 0.66, 1.2), (0.12, 0.75, 0.62, 0.6), (0.0, 0.75, 0.6, 0.8), (0.1, 0.05, 0.8, 0.8),
    ),
    "summer": (
        _WHITE, (0.6, 0.1, 0.2, 2.0), (0.57, 0.45, 0.85, 2.0), (0.0, 0.75, 0.8, 1.2), (0.14, 0.7, 0.9, 1.0),
        (0.93, 0.4, 0.88, 1.0), (0.36, 0.5, 0.6, 1.0), (0.48, 0.55, 0.7, 0.8), (0.62, 0.65, 0.5, 1.5),
        (0.07, 0.7, 0.88, 0.7),
    ),
}  # fmt: skip
_LOWER: dict[Domain, tuple[_Swatch, ...]] = {
    "winter": (_BLACK, (0.61, 0.45, 0.32, 4.0), (0.6, 0.08, 0.36, 2.0), (0.08, 0.4, 0.33, 1.5), (0.25, 0.25, 0.3, 1.0)),
    "summer": (
        (0.6, 0.1, 0.2, 1.5), (0.6, 0.5, 0.55, 3.0), (0.11, 0.3, 0.75, 2.0), (0.12, 0.04, 0.88, 1.0),
        (0.2, 0.3, 0.45, 1.2), (0.97, 0.5, 0.65, 0.6),
    ),
}  # fmt: skip
_HAIR: tuple[_Swatch, ...] = (
    (0.07, 0.5, 0.16, 4.0),
    (0.08, 0.55, 0.34, 3.0),
    (0.11, 0.5, 0.7, 1.5),
    (0.1, 0.05, 0.65, 1.0),
)
_SKIN: tuple[_Swatch, ...] = ((0.06, 0.35, 0.9, 3.0), (0.06, 0.45, 0.7, 2.0), (0.06, 0.5, 0.42, 1.5))
_BAG: tuple[_Swatch, ...] = (_BLACK, (0.07, 0.6, 0.4, 2.0), (0.0, 0.7, 0.6, 1.0), (0.6, 0.6, 0.55, 1.0), _GREY)
_FOREIGN = 0.3
"""Share of garments from the other domain's wardrobe."""
_PATTERNS: tuple[Pattern, ...] = ("plain", "stripes", "halves", "print", "open")


@dataclass(frozen=True)
class Appearance:
    """The appearance of a person, whatever the camera and the pose.

    Attributes:
        height: fraction of the tallest person's height.
        build: factor on all widths.
        skin: colour of face and hands, and of legs under shorts and skirts.
        hair: colour.
        hair_style: bald, short, or long to the shoulders.
        hat: its colour, or None.
        upper: main colour of what is worn above.
        second: its other colour, where the pattern has two.
        pattern: how the two colours are laid out.
        hem: where it ends, in fractions of the person's height above the ground: a jacket's 0.5, a coat's 0.3.
        long_sleeves: or sleeves to the elbow.
        lower: colour of what is worn below.
        lower_kind: trousers, shorts or skirt.
        shoes: colour.
        bag: none, backpack (its side towards the viewer depends on the heading), shoulder or hand bag.
        bag_color: colour.
    """

    height: float
    build: float
    skin: Color
    hair: Color
    hair_style: Literal["bald", "short", "long"]
    hat: Color | None
    upper: Color
    second: Color
    pattern: Pattern
    hem: float
    long_sleeves: bool
    lower: Color
    lower_kind: Literal["trousers", "shorts", "skirt"]
    shoes: Color
    bag: Literal["none", "backpack", "shoulder", "hand"]
    bag_color: Color


def draw_appearance(random: np.random.Generator, domain: Domain) -> Appearance:
    """Draw a person's appearance; some garments come from the other domain's wardrobe."""
    winter = domain == "winter"
    hat = _worn(random, _wardrobe(random, _UPPER, domain)) if random.random() < (0.25 if winter else 0.12) else None
    return Appearance(
        height=random.uniform(0.86, 1.0),
        build=random.uniform(0.85, 1.2),
        skin=_worn(random, _SKIN),
        hair=_worn(random, _HAIR),
        hair_style=_choice(random, ("bald", "short", "long"), (0.1, 0.5, 0.4)),
        hat=hat,
        upper=_worn(random, _wardrobe(random, _UPPER, domain)),
        second=_worn(random, _wardrobe(random, _UPPER, domain)),
        pattern=_choice(random, _PATTERNS, (0.66, 0.06, 0.08, 0.06, 0.14) if winter else (0.52, 0.16, 0.1, 0.16, 0.06)),
        hem=random.uniform(0.28, 0.38) if random.random() < (0.3 if winter else 0.03) else random.uniform(0.46, 0.52),
        long_sleeves=bool(random.random() < (0.97 if winter else 0.25)),
        lower=_worn(random, _wardrobe(random, _LOWER, domain)),
        lower_kind=_choice(random, ("trousers", "shorts", "skirt"), (0.88, 0.0, 0.12) if winter else (0.45, 0.3, 0.25)),
        shoes=_worn(random, _BAG),
        bag=_choice(random, ("none", "backpack", "shoulder", "hand"), (0.4, 0.25, 0.2, 0.15)),
        bag_color=_worn(random, _BAG),
    )


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return the colour of a hue (any number, 1 is once around), saturation and value (clipped to 0..1)."""
    inside = [min(max(part, 0.0), 1.0) for part in (saturation, value)]
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, *inside)
    return red * 255, green * 255, blue * 255


def _wardrobe(
    random: np.random.Generator, wardrobes: Mapping[Domain, Sequence[_Swatch]], domain: Domain
) -> Sequence[_Swatch]:
    other: Domain = "summer" if domain == "winter" else "winter"
    return wardrobes[other if random.random() < _FOREIGN else domain]


def _worn(random: np.random.Generator, swatches: Sequence[_Swatch]) -> Color:
    """Choose a colour by how often it is worn, and shift it a little: no two garments are of quite the same dye."""
    weights = np.array([weight for *_, weight in swatches])
    hue, saturation, value, _ = swatches[random.choice(len(swatches), p=weights / weights.sum())]
    shift = random.normal(size=3)
    return hsv(hue + 0.015 * shift[0], saturation + 0.05 * shift[1], value + 0.05 * shift[2])


def _choice(random: np.random.Generator, options: Sequence[T], shares: Sequence[float]) -> T:
    return options[random.choice(len(options), p=shares)]
