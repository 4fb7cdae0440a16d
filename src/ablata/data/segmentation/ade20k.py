"""ADE20K as SceneParse150: 150 classes (Zhou et al. 2017, Scene Parsing through ADE20K Dataset, CVPR).

The masks hold 1 to 150, and 0 for everything else, which is ignored. This table is the one place where that zero is
taken away: nothing later subtracts anything.
"""

from __future__ import annotations

from typing import Literal

from ablata.data.labels.table import LabelTable, default_palette
from ablata.data.segmentation.published import PublishedPairs

_NAMES = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door, table,
mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat,
fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter,
sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop,
stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land, bannister,
escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
"""
NAMES = tuple(name.strip() for name in _NAMES.replace("\n", " ").split(","))
TABLE = LabelTable("ids", NAMES, tuple(range(1, 151)), (0,), default_palette(150))
"""Raw values to the 150 classes."""


class Ade20k(PublishedPairs):
    """ADE20K with its 150 classes; the mask's 0 is ignored."""

    kind: Literal["ade20k"] = "ade20k"

    def table(self) -> LabelTable:
        """Return what the raw values are."""
        return TABLE

    def layout(self) -> str:
        """Return the layout in words."""
        return "images/training, images/validation, and annotations of the same names (ADEChallengeData2016)"
