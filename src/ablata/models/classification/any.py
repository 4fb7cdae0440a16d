"""Classifiers as one union of settings: those of this folder, and the backbones that classify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.models.backbones.base import Classifier
from ablata.models.classification.small_resnet import CifarResNet

if TYPE_CHECKING:
    AnyClassifier = Classifier
else:
    AnyClassifier = Annotated[
        family(Classifier, CifarResNet, "ablata.models.classification", "ablata.models.backbones"),
        OpenPart(
            Classifier,
            adapt="ablata.models.plain:classifier",
            plain="an nn.Module class, or a function that returns a module",
        ),
    ]
