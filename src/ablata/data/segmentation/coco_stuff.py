"""COCO-Stuff: 171 classes, 80 things and 91 stuffs (Caesar et al. 2018, arXiv 1612.03716).

Ids are 1 to 182 with eleven that COCO never used. The masks of the 164k version (stuffthingmaps) hold the id minus one,
and 255 for what is not labelled; those of the 10k version hold the id itself, and 0 (the authors' README; their issues
7 and 17).
"""

from __future__ import annotations

from typing import Literal

from ablata.data.labels.table import LabelTable, default_palette
from ablata.data.segmentation.published import PublishedPairs

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag,
tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush, banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet, ceiling-other,
ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt, door-stuff, fence, floor-marble,
floor-other, floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit, furniture-other, grass, gravel,
ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement,
pillow, plant-other, plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table, tent, textile-other,
towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel, wall-stone, wall-tile, wall-wood,
water-other, waterdrops, window-blind, window-other, wood
"""
NAMES = tuple(name.strip() for name in _NAMES.replace("\n", " ").split(","))
_UNUSED = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})
IDS = tuple(number for number in range(1, 183) if number not in _UNUSED)
"""Id of each class."""
TABLES = {
    "164k": LabelTable("ids", NAMES, tuple(number - 1 for number in IDS), (255,), default_palette(len(NAMES))),
    "10k": LabelTable("ids", NAMES, IDS, (0,), default_palette(len(NAMES))),
}
"""Raw values to classes, by version."""


class CocoStuff(PublishedPairs):
    """COCO-Stuff with its 171 classes; what is not labelled is ignored."""

    kind: Literal["coco_stuff"] = "coco_stuff"
    version: Literal["164k", "10k"] = "164k"
    """Which masks: 164k holds the id minus one and 255, 10k the id and 0. The 10k version is scored on its test set."""

    def table(self) -> LabelTable:
        """Return what the raw values are."""
        return TABLES[self.version]

    def layout(self) -> str:
        """Return the layout in words."""
        splits = "train2017 and val2017" if self.version == "164k" else "train2014 and test2014"
        return f"images/ and annotations/ (or stuffthingmaps/), each with {splits}"
