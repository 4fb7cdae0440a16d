"""How the networks of classification and re-identification are initialised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ablata.models.backbones.base import DataDependentInit
from ablata.models.backbones.weights import Loadable
from ablata.models.detection.base import DetectorSettings
from ablata.models.weights.files import weights_file
from ablata.models.weights.sources import locate
from ablata.nn.lazy_modules import initialize_lazy


def start_classifier(settings: Any, classes: int, channels: int, images: Callable[[int], Tensor]) -> nn.Module:
    """Build a network and give it its first weights: drawn, computed from training images, or from a file.

    Args:
        settings: a classifier's.
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
    """Return `-` and 8 hexadecimal digits of the files of weights that a network begins with; nothing without any.

    Raises:
        CheckpointError: a file is missing, or weights of that name were not fetched.
    """
    files = settings.weight_files() if isinstance(settings, Loadable | DetectorSettings) else ()
    content = hashlib.blake2b(digest_size=4)
    for name in files:
        content.update(weights_file(locate(name)).read_bytes())
    return f"-{content.hexdigest()}" if files else ""
