"""Backbones and image classifiers: their base classes, and the usual classifier on a backbone.

Base classes of settings: `Backbone` (builds a network of named feature maps, which classifiers, segmenters and
detectors stand on), `Classifier` (builds a whole image classifier), `BackboneUser` (has a `backbone` of its own).

The names in a state tell its parts: `backbone.*` is what other tasks build on, `head.*` and `classifier.*` are not.

Letters: B batch, C channels of the image, H height and width of the image, W4 channels of stage 4, D features,
K classes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.models.backbones.weights import Loadable
from ablata.nn.kernels.pooling import global_average


class Classifier(Loadable):
    """Base of the settings of image classifiers; not itself a choice."""

    @abstractmethod
    def build(self, classes: int, channels: int) -> nn.Module:
        """Make the classifier; weights come from torch's global generator.

        Args:
            classes: K.
            channels: C, of the images.

        Returns:
            A module that maps images [B, C, H, W] to a dict with `logits` [B, K], and any further outputs by name.
        """


class Backbone(Loadable):
    """Base of the settings of backbones (feature extractors); not itself a choice."""

    @abstractmethod
    def build_backbone(self, channels: int) -> BackboneModule:
        """Make the network for images of `channels` channels; weights come from torch's global generator."""


class BackboneUser(Loadable):
    """Base of the settings of networks on a backbone, which has weights of its own; not itself a choice."""

    backbone: Backbone
    """Network whose feature maps are used; its own weights come from `model.backbone.weights`."""

    @model_validator(mode="after")
    def _takes_the_backbone_alone(self) -> Self:
        if self.backbone.weights is not None and self.backbone.weights_part == "full":
            raise ValueError("backbone.weights_part must be auto or backbone: the classifier behind it is another")
        return self

    def weight_files(self) -> tuple[str, ...]:
        """Return the files that `load_into` reads."""
        return super().weight_files() + self.backbone.weight_files()

    def load_into(self, model: nn.Module) -> None:
        """Load the whole network's weights, or the backbone's; see `Loadable.load_into`."""
        super().load_into(model)
        # The backbone's own file says nothing of what stands on it here.
        self.backbone.model_copy(update={"weights_part": "backbone"}).load_into(model)


class BackboneModule(nn.Module):
    """Base of backbones: maps images [B, C, H, W] to a dict of feature maps by name.

    Attributes:
        widths: channels of the feature maps by name, each map at most as large as the one before. Mostly stem and
            stage1 to stage4, which have strides of 4, 8, 16 and 32 unless the settings say otherwise.
        strides: how many times smaller than the image each map is.
    """

    widths: Mapping[str, int]
    strides: Mapping[str, int]

    def levels(self) -> list[str]:
        """Return the names of the maps behind the stem, the finest first."""
        return [name for name in self.widths if name != "stem"]

    def at_stride(self, stride: int) -> str:
        """Return the name of the deepest map of a stride.

        Raises:
            SettingsError: there is none.
        """
        for name in reversed(self.levels()):
            if self.strides[name] == stride:
                return name
        raise SettingsError(
            f"The backbone must have a feature map of stride {stride} for this network",
            found=f"strides {', '.join(str(self.strides[name]) for name in self.levels())}",
            do="take another model.backbone, such as resnet",
        )


class PooledClassifier(nn.Module):
    """Backbone, head, mean, dropout, linear layer.

    Args:
        backbone: maps images [B, C, H, H] to a dict of its outputs, stage 4 [B, W4, H/32, H/32] last.
        classes: K.
        head: maps stage 4 to [B, D, ...]; nothing by default.
        features: D.
        dropout: fraction of the features that is dropped in training.
    """

    def __init__(
        self,
        backbone: BackboneModule,
        classes: int,
        head: nn.Module | None = None,
        features: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head or nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(features or backbone.widths["stage4"], classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the backbone's outputs, `features` [B, D] and `logits` [B, K]."""
        outputs: dict[str, Tensor] = dict(self.backbone(images))
        features = outputs["features"] = global_average(self.head(outputs["stage4"]))
        outputs["logits"] = self.classifier(self.dropout(features))
        return outputs


@torch.no_grad()
def init_convolutions(model: nn.Module) -> None:
    """Draw all convolutions from N(0, 2 / fan-out), fan-out = k k D / groups, and set their biases to 0.

    Source: He et al. 2015, arXiv 1502.01852, section 2.2, for the backward pass; as torchvision and timm draw them.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            module.weight.normal_(0, math.sqrt(2 / fan_out))
            if module.bias is not None:
                module.bias.zero_()


class DataDependentInit(nn.Module):
    """A model with a layer whose initial weights are computed from training images.

    The task calls `init_from_images` once, right after the model is built. What it computes lies in the model's
    parameters, so a resumed run takes it from its checkpoint.
    """

    init_images: int
    """How many training images it needs; 0: none."""

    @abstractmethod
    def init_from_images(self, images: Tensor) -> None:
        """Set the initial weights.

        Args:
            images: float32 [N, C, H, W], normalised, not augmented: `init_images` of the training set, or all of it.
        """
