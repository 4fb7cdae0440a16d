"""Every image classification set a recipe can choose."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.data.digits import Digits
from ablata.data.parquet import Cifar10, Parquet

AnyImageData = Annotated[Digits | Cifar10 | Parquet, Field(discriminator="kind")]
