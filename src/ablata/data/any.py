"""The data sets a recipe can choose from, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.data.digits import Digits
from ablata.data.image_folder import ImageFolder
from ablata.data.parquet import Cifar10, Parquet
from ablata.data.scenes import Scenes

AnyImageData = Annotated[Digits | Cifar10 | Parquet | ImageFolder | Scenes, Field(discriminator="kind")]
