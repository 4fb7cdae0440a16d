"""The detection sets a recipe can choose from, told apart by `kind`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ablata.base.errors import DataError
from ablata.base.parts import OpenPart
from ablata.data.detection.coco import ChestXray, Coco
from ablata.data.detection.penn_fudan import PennFudan
from ablata.data.detection.voc import BloodCells, Voc
from ablata.data.synthetic.scene_boxes import SceneBoxes

AnyDetectionData = Annotated[
    SceneBoxes | ChestXray | PennFudan | BloodCells | Coco | Voc,
    OpenPart(adapt="ablata.data.plain:objects", plain="a torch Dataset class, or a function that returns one"),
]

_BY_LAYOUT: tuple[type[ChestXray] | type[Coco] | type[PennFudan] | type[BloodCells], ...] = (
    ChestXray,
    Coco,
    PennFudan,
    BloodCells,
)


def recognise(root: str, cache: Path) -> str | None:
    """Return the kind of set that a folder, or a zip, has the layout of; None: of none of them."""
    for kind in _BY_LAYOUT:
        settings = kind(root=root)
        try:
            settings.locate(cache)
        except DataError:
            continue
        return settings.kind
    return None
