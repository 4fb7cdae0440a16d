"""The networks a classification recipe can choose from, told apart by `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.models.airbench import Airbench
from ablata.models.cifar_resnet import CifarResNet
from ablata.models.digits_net import DigitsNet
from ablata.models.wide_resnet import WideResNet

AnyClassifier = Annotated[CifarResNet | WideResNet | DigitsNet | Airbench, Field(discriminator="kind")]
