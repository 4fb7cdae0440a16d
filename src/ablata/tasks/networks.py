"""The networks that classification and re-identification choose from, and how one is initialised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from torch import Tensor, nn

from ablata.base.parts import OpenPart
from ablata.models.backbones.airbench import Airbench
from ablata.models.backbones.base import Classifier, DataDependentInit
from ablata.models.backbones.digits_net import DigitsNet
from ablata.models.backbones.efficientnet import EfficientNet, EfficientNetLite
from ablata.models.backbones.feature_pyramid_classifier import PyramidClassifier
from ablata.models.backbones.regnet import RegNet
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.small_resnet import CifarResNet, WideResNet
from ablata.models.backbones.t2t_vit import T2TViT
from ablata.models.backbones.timm_model import TimmModel
from ablata.models.backbones.weights import Loadable
from ablata.nn.lazy_modules import initialize_lazy

AnyClassifier = Annotated[
    CifarResNet
    | WideResNet
    | DigitsNet
    | Airbench
    | ResNet
    | EfficientNet
    | EfficientNetLite
    | RegNet
    | T2TViT
    | PyramidClassifier
    | TimmModel,
    OpenPart(
        Classifier,
        adapt="ablata.models.plain:classifier",
        plain="an nn.Module class, or a function that returns a module",
    ),
]


def start_classifier(settings: Any, classes: int, channels: int, images: Callable[[int], Tensor]) -> nn.Module:
    """Build a network and give it its first weights: drawn, computed from training images, or from a file.

    Args:
        settings: one of `AnyClassifier`.
        classes: of the data.
        channels: of its images.
        images: returns N training images, spread over the set, float32 [N, C, H, W], normalised.

    Raises:
        UserError: the network cannot be built so, or the file of weights does not fit it.
    """
    model: nn.Module = settings.build(classes, channels)
    initialize_lazy(model, lambda: images(1))
    if isinstance(model, DataDependentInit) and model.init_images:
        model.init_from_images(images(model.init_images))
    if isinstance(settings, Loadable):
        settings.load_into(model)
    return model


def weights_mark(settings: Any) -> str:
    """Return `-` and 8 hexadecimal digits of the files of weights that a network begins with; nothing without any."""
    files = settings.weight_files() if isinstance(settings, Loadable) else ()
    content = hashlib.blake2b(digest_size=4)
    for name in files:
        path = Path(name).expanduser()
        # A missing file is refused, with its name, when the network is built.
        content.update(path.read_bytes() if path.is_file() else b"")
    return f"-{content.hexdigest()}" if files else ""
