"""Any network of timm (github.com/huggingface/pytorch-image-models) by its name, with new weights or a local file's.

Shapes: B batch, C channels of the image, H height and width of the image, Wn channels of stage n, D features,
K classes.

    input    [B, C, H, H]                       features  [B, D]
    stem     [B, W0, H/2, H/2] where there is one         logits    [B, K]
    stage1 to stage4  [B, Wn, H/4, H/4] to [B, Wn, H/32, H/32]; in networks of one stride, stage n is layer n's output
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.models.backbones.base import Classifier
from ablata.models.backbones.timm_names import refuse_unknown_network


class TimmModel(Classifier):
    """Network of timm."""

    kind: Literal["timm"] = "timm"
    name: str = Field(default="resnet18", min_length=1)
    """timm's name of the network, without a tag; `timm.list_models()` has them all."""
    image_size: int | None = Field(default=None, ge=1)
    """Side of the images for networks whose positions are fixed; null: timm's."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the features that is dropped before the classifier in training."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the images for which a branch is left out in training, as the network has it."""

    def refuse_unknown_names(self) -> None:
        """Refuse a network that timm does not have; see `Settings.refuse_unknown_names`."""
        refuse_unknown_network("model.name", self.name)

    def build(self, classes: int, channels: int = 3) -> TimmNetwork:
        """Make the model for images of `channels` channels; weights come from torch's global generator.

        Raises:
            SettingsError: timm has no such network, or it takes none of these settings.
        """
        # timm takes a second to import, and few recipes need it.
        import timm

        self.refuse_unknown_names()
        wanted = {"img_size": self.image_size, "drop_rate": self.dropout, "drop_path_rate": self.drop_path}
        given: dict[str, Any] = {name: value for name, value in wanted.items() if value}
        try:
            network = timm.create_model(self.name, pretrained=False, num_classes=classes, in_chans=channels, **given)
        except TypeError as error:
            raise SettingsError(
                f"timm's {self.name} must take the settings", found=str(error), do="leave that setting as it was"
            ) from None
        return TimmNetwork(network)

    def published_name(self, name: str) -> str | None:
        """Translate timm's name: the network is a part of ours."""
        return f"backbone.{name}"

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor of a state belongs to all but the classifier."""
        assert isinstance(model, TimmNetwork)
        return not name.startswith(model.classifiers)


class TimmNetwork(nn.Module):
    """A network of timm with named outputs.

    Args:
        network: as timm builds it.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.backbone = network
        names = network.default_cfg.get("classifier") or ()
        listed = (names,) if isinstance(names, str) else tuple(names)
        self.classifiers = tuple(f"backbone.{name}." for name in listed)
        self.stages = _stage_names([info["reduction"] for info in getattr(network, "feature_info", [])])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the named outputs."""
        network: Any = self.backbone
        outputs: dict[str, Tensor] = {}
        if hasattr(network, "forward_intermediates"):
            last, stages = network.forward_intermediates(images)
            names = self.stages if len(self.stages) == len(stages) else _stage_names([1] * len(stages))
            outputs = {name: stage for name, stage in zip(names, stages, strict=True) if name}
        else:
            last = network.forward_features(images)
        features = network.forward_head(last, pre_logits=True)
        classifier = network.get_classifier()
        # A second pass through the head would draw its dropout again; only odd heads need it.
        simple = isinstance(classifier, nn.Linear) and classifier.in_features == features.shape[-1]
        logits = classifier(features) if simple and features.ndim == 2 else network.forward_head(last)
        return outputs | {"features": features, "logits": logits}


def _stage_names(reductions: list[int]) -> list[str]:
    """Name outputs by how much smaller than the image they are; number them where they are not each smaller."""
    falling = all(before < after for before, after in pairwise(reductions))
    if not falling or len(reductions) < 2:
        return [f"stage{number}" for number in range(1, len(reductions) + 1)]
    stages = [int(math.log2(reduction)) - 1 for reduction in reductions]
    first = sum(stage < 1 for stage in stages)
    return [
        f"stage{stage}" if stage >= 1 else "stem" if index == first - 1 else "" for index, stage in enumerate(stages)
    ]
