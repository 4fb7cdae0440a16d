"""The frame of convolutional classifiers: a backbone of four stages, a head, the mean over the image, a linear layer.

The names in a state tell its parts: `backbone.*` is what other tasks build on, `head.*` and `classifier.*` are not.

Letters: B batch, C channels of the image, H height and width of the image, W4 channels of stage 4, D features,
K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ablata.nn.kernels.pooling import global_average


class Backbone(nn.Module):
    """Base of backbones.

    Attributes:
        widths: channels of the outputs by name: stem and stage1 to stage4, in this order, each at most as large as the
            one before; the stages are 4, 8, 16 and 32 times smaller than the image unless the settings say otherwise.
    """

    widths: Mapping[str, int]


class PooledClassifier(nn.Module):
    """Backbone, head, mean, dropout, linear layer.

    Args:
        backbone: maps images [B, C, H, H] to a dict of its outputs, stage 4 [B, W4, H/32, H/32] last.
        classes: K.
        head: maps stage 4 to [B, D, ...]; nothing by default.
        features: D.
        dropout: share of the features that is dropped in training.
    """

    def __init__(
        self, backbone: Backbone, classes: int, head: nn.Module | None = None, features: int = 0, dropout: float = 0.0
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
def draw_convolutions(model: nn.Module) -> None:
    """Draw all convolutions from N(0, 2 / fan-out), fan-out = k k D / groups, and set their biases to 0.

    Source: He et al. 2015, arXiv 1502.01852, section 2.2, for the backward pass; as torchvision and timm draw them.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            module.weight.normal_(0, math.sqrt(2 / fan_out))
            if module.bias is not None:
                module.bias.zero_()
