"""Layout of a synthetic street: the ground, the houses and trees, the things, and the relations between things.

Places are given in shares: x of the width from the left, y of the height from the top. Depth d runs from 0 at the
horizon to 1 at the lower border; sizes and sideways distances are proportional to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.settings import Settings

SEMANTIC = ("sky", "building", "road", "pavement", "grass", "tree", "car", "bus", "person", "light", "sign")
"""Semantic classes by number; the last five are things with instances and boxes."""
THINGS = ("car", "bus", "person", "light", "sign")
PLACES = ("motorway", "high street", "avenue", "park", "crossing", "suburb")
"""Labels by number. Each place has a mark of its own that is always painted: the motorway a barrier and no pavement,
the high street tall houses down to the pavement, the avenue two rows of trees before houses, the park a path in grass
without a road, the crossing zebra stripes, the suburb houses with pitched roofs in gardens."""

ThingName = Literal["car", "bus", "person", "light", "sign"]

HEIGHTS = {"car": 0.25, "bus": 0.52, "person": 0.36, "light": 0.66, "sign": 0.50}
"""Height of a thing at depth 1, as a fraction of the image's height."""

_RATES: dict[str, tuple[float, ...]] = {
    "motorway": (3.0, 0.6, 0.0, 0.0, 0.9),
    "high street": (1.2, 0.5, 2.5, 0.3, 0.5),
    "avenue": (1.5, 0.3, 1.2, 0.2, 0.5),
    "park": (0.0, 0.0, 2.5, 0.0, 0.4),
    "crossing": (1.2, 0.3, 1.2, 1.2, 0.3),
    "suburb": (1.3, 0.1, 0.8, 0.0, 0.6),
}


class Relation(Settings):
    """A planted relation: beside each thing of one class stands, with some probability, a thing of another."""

    of: ThingName
    """Class of the first thing."""
    adds: ThingName
    """Class of its companion."""
    probability: Annotated[float, Field(ge=0, le=1)]
    """Share of the first things that have the companion: an entry of the co-occurrence matrix."""
    dx: float
    """Sideways distance from the first thing's foot to the companion's, in heights of the first; positive is right."""
    dy: float = 0.0
    """Distance towards the viewer, in heights of the first thing."""
    spread: Annotated[float, Field(ge=0)] = 0.08
    """Standard deviation of both distances, in heights of the first thing."""


RELATIONS = (
    Relation(of="bus", adds="person", probability=0.7, dx=0.75, dy=0.05),
    Relation(of="light", adds="person", probability=0.8, dx=0.22, dy=0.04),
    Relation(of="sign", adds="car", probability=0.5, dx=-0.7, dy=0.05),
    Relation(of="car", adds="car", probability=0.3, dx=0.1, dy=-0.35),
)


def cooccurrence(relations: Sequence[Relation]) -> np.ndarray:
    """Return float64 [5, 5]: probability that a thing of the row's class brings one of the column's, by `THINGS`."""
    missing = np.ones((len(THINGS), len(THINGS)))
    for relation in relations:
        missing[THINGS.index(relation.of), THINGS.index(relation.adds)] *= 1 - relation.probability
    return 1 - missing


@dataclass(frozen=True)
class Thing:
    """A thing: its class, x and y of its foot, height (fraction of the image's), a number in 0..1 for its looks."""

    name: str
    x: float
    y: float
    height: float
    look: float


@dataclass(frozen=True)
class Street:
    """A whole layout.

    Attributes:
        place: one of `PLACES`.
        horizon: y of the horizon.
        vanishing: x at which the road meets the horizon.
        road: half the road's width at the lower border; of the path, in a park.
        pavement: width of the pavement there; 0 for none.
        light: brightness of the day, about 1.
        blocks: houses as (left, right, top, foot, look), far ones first.
        trees: trees as (x, foot y, height, look), far ones first.
        things: far ones first.
    """

    place: str
    horizon: float
    vanishing: float
    road: float
    pavement: float
    light: float
    blocks: list[tuple[float, float, float, float, float]]
    trees: list[tuple[float, float, float, float]]
    things: list[Thing]

    def depth(self, y: float) -> float:
        """Return the depth at height y on the ground, at least 0."""
        return max(0.0, (y - self.horizon) / (1 - self.horizon))

    def side(self, x_at_border: float, y: float) -> float:
        """Return x at height y of a line on the ground that ends `x_at_border` right of the middle of the road."""
        d = self.depth(y)
        return self.vanishing + (0.5 - self.vanishing) * d + x_at_border * d


def draw_street(random: np.random.Generator, place: str, relations: Sequence[Relation], density: float) -> Street:
    """Draw a layout.

    Args:
        random: drawn from.
        place: one of `PLACES`.
        relations: planted relations.
        density: factor on the number of things.
    """
    horizon, vanishing = random.uniform(0.36, 0.48), random.uniform(0.38, 0.62)
    road = {"motorway": random.uniform(0.5, 0.6), "park": random.uniform(0.12, 0.2)}.get(
        place, random.uniform(0.3, 0.38)
    )
    pavement = 0.0 if place in ("motorway", "park") else random.uniform(0.13, 0.2)
    street = Street(place, horizon, vanishing, road, pavement, random.uniform(0.75, 1.1), [], [], [])
    street.blocks.extend(_blocks(random, street))
    street.trees.extend(_trees(random, street))
    street.things.extend(_things(random, street, relations, density))
    return street


def _blocks(random: np.random.Generator, street: Street) -> list[tuple[float, float, float, float, float]]:
    """Rows of houses along both sides, and a far row at the horizon."""
    place, horizon = street.place, street.horizon
    if place in ("park", "motorway"):
        return []
    tall = {"high street": (1.1, 1.7), "crossing": (0.8, 1.3), "avenue": (0.7, 1.0), "suburb": (0.55, 0.7)}[place]
    setback = 0.28 if place == "suburb" else 0.0
    blocks = []
    for left in np.arange(0.0, 1.0, 0.2):
        width, top = random.uniform(0.16, 0.22), horizon - random.uniform(0.3, 0.9) * 0.16 * tall[1]
        blocks.append((left, left + width, top, horizon + 0.02, random.random()))
    for direction in (-1, 1):
        for near in (0.22, 0.4, 0.72):
            if place == "suburb" and near < 0.3:
                continue
            foot = horizon + near * (1 - horizon) * random.uniform(0.9, 1.05)
            edge = street.side(direction * (street.road + street.pavement + setback), foot)
            reach = (0.75 if place == "suburb" else 1.2) * near
            top = foot - near * random.uniform(*tall) * 0.8
            left, right = (edge - reach, edge) if direction < 0 else (edge, edge + reach)
            blocks.append((left, right, top, foot, random.random()))
    return sorted(blocks, key=lambda block: block[3])


def _trees(random: np.random.Generator, street: Street) -> list[tuple[float, float, float, float]]:
    """An avenue's two rows, a park's loose trees, a suburb's and a motorway's few."""
    trees = []
    if street.place == "avenue":
        spots = [
            (direction * (street.road + 0.6 * street.pavement), d) for d in (0.18, 0.32, 0.55) for direction in (-1, 1)
        ]
    else:
        count = {"park": 6, "suburb": 2, "motorway": 4}.get(street.place, 0)
        least = street.road + street.pavement + (0.06 if street.place != "motorway" else 0.2)
        spots = [
            (random.choice((-1, 1)) * random.uniform(least, least + 0.7), random.uniform(0.1, 0.6))
            for _ in range(count)
        ]
    for across, d in spots:
        y = street.horizon + d * (1 - street.horizon)
        trees.append((street.side(across, y), y, (0.25 + 0.75 * d) * random.uniform(0.5, 0.75), random.random()))
    return sorted(trees, key=lambda tree: tree[1])


def _things(random: np.random.Generator, street: Street, relations: Sequence[Relation], density: float) -> list[Thing]:
    things = []
    for name, rate in zip(THINGS, _RATES[street.place], strict=True):
        least = 1 if name == "light" and street.place == "crossing" else 0
        count = max(least, min(int(random.poisson(rate * density)), 6))
        things += [_placed(random, street, name) for _ in range(count)]
    companions = [
        _companion(random, street, first, relation)
        for first in things
        for relation in relations
        if relation.of == first.name and random.random() < relation.probability
    ]
    return sorted([*things, *companions], key=lambda thing: thing.y)


def _companion(random: np.random.Generator, street: Street, first: Thing, relation: Relation) -> Thing:
    dx, dy = np.array([relation.dx, relation.dy]) + relation.spread * random.normal(size=2)
    y = min(max(first.y + dy * first.height, street.horizon + 0.06), 1.0)
    height = HEIGHTS[relation.adds] * street.depth(y) * random.uniform(0.9, 1.1)
    return Thing(relation.adds, first.x + dx * first.height, y, height, random.random())


def _placed(random: np.random.Generator, street: Street, name: str) -> Thing:
    """Put a thing where its class belongs: vehicles on a lane, persons on the pavement, posts at the kerb."""
    d = random.uniform(0.25, 0.95)
    direction = random.choice((-1, 1))
    if name in ("car", "bus"):
        across = direction * street.road * random.uniform(0.35, 0.6)
    elif name == "person":
        width = street.pavement or 0.3
        across = direction * (street.road * (0.2 if street.place == "park" else 1.0) + width * random.uniform(0.1, 0.9))
    else:
        across = direction * (street.road + 0.03)
    y = street.horizon + d * (1 - street.horizon)
    height = HEIGHTS[name] * d * random.uniform(0.85, 1.15)
    return Thing(name, street.side(across, y), y, height, random.random())
