"""The data sets a recipe can choose from, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.data.ade20k import Ade20k
from ablata.data.camvid import CamVid
from ablata.data.cifar import Cifar10, Cifar100
from ablata.data.cityscapes import Cityscapes
from ablata.data.coco_stuff import CocoStuff
from ablata.data.digits import Digits
from ablata.data.image_folder import ImageFolder
from ablata.data.market import Market
from ablata.data.mask_folder import MaskFolder
from ablata.data.parquet import Parquet
from ablata.data.pascal_context import PascalContext
from ablata.data.persons import Persons
from ablata.data.scene_masks import SceneMasks
from ablata.data.scenes import Scenes
from ablata.data.shards import Shards

AnyImageData = Annotated[
    Digits | Cifar10 | Cifar100 | Parquet | ImageFolder | Shards | Scenes, Field(discriminator="kind")
]
AnyIdentityData = Annotated[Persons | Market, Field(discriminator="kind")]
"""Sets of persons seen by several cameras."""
AnySegmentationData = Annotated[
    SceneMasks | CamVid | Cityscapes | CocoStuff | PascalContext | Ade20k | MaskFolder, Field(discriminator="kind")
]
"""Sets with a class for every pixel."""
AnyData = Annotated[
    Digits | Cifar10 | Cifar100 | Parquet | ImageFolder | Shards | Scenes | Persons | Market,
    Field(discriminator="kind"),
]
"""Sets of pictures with one label each, of whatever kind."""
