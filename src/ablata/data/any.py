"""The data sets a recipe can choose from, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.data.classification.cifar import Cifar10, Cifar100
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.parquet import Parquet
from ablata.data.classification.shards import Shards
from ablata.data.detection.coco import ChestXray, Coco
from ablata.data.detection.penn_fudan import PennFudan
from ablata.data.detection.voc import BloodCells, Voc
from ablata.data.reid.market1501 import Market
from ablata.data.segmentation.ade20k import Ade20k
from ablata.data.segmentation.camvid import CamVid
from ablata.data.segmentation.cityscapes import Cityscapes
from ablata.data.segmentation.coco_stuff import CocoStuff
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.segmentation.pascal_context import PascalContext
from ablata.data.synthetic.persons import Persons
from ablata.data.synthetic.scene_boxes import SceneBoxes
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.synthetic.scenes import Scenes

PLAIN = "a torch Dataset class, or a function that returns one"

AnyImageData = Annotated[
    Digits | Cifar10 | Cifar100 | Parquet | ImageFolder | Shards | Scenes,
    OpenPart(adapt="ablata.data.plain:images", plain=PLAIN),
]
AnyIdentityData = Annotated[Persons | Market, OpenPart()]
"""Re-identification data sets."""
AnySegmentationData = Annotated[
    SceneMasks | CamVid | Cityscapes | CocoStuff | PascalContext | Ade20k | MaskFolder,
    OpenPart(adapt="ablata.data.plain:masks", plain=PLAIN),
]
"""Semantic segmentation data sets."""
AnyDetectionData = Annotated[
    SceneBoxes | ChestXray | PennFudan | BloodCells | Coco | Voc,
    OpenPart(adapt="ablata.data.plain:objects", plain=PLAIN),
]
"""Object detection data sets."""
AnyData = Annotated[
    Digits | Cifar10 | Cifar100 | Parquet | ImageFolder | Shards | Scenes | Persons | Market,
    OpenPart(),
]
"""Data sets of images with one label each, classes or identities."""
