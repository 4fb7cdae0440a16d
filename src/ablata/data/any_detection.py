"""The detection sets a recipe can choose from, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.data.coco import ChestXray, Coco
from ablata.data.penn_fudan import PennFudan
from ablata.data.scene_boxes import SceneBoxes
from ablata.data.voc import BloodCells, Voc

AnyDetectionData = Annotated[SceneBoxes | ChestXray | PennFudan | BloodCells | Coco | Voc, Field(discriminator="kind")]
