"""ResNet for 32 x 32 images.

Source: He et al. 2016a, arXiv 1512.03385, section 4.2; with pre-activation: He et al. 2016b, arXiv 1603.05027.

Three stages of n blocks of two 3x3 convolutions, depth 6n + 2, each stage half as large and twice as wide as the one
before. With 10 classes, width 16 and option A shortcuts the parameters are 0.27M (269,722) at depth 20, 0.46M (464,154)
at 32, 0.66M (658,586) at 44, 0.85M (853,018) at 56 and 1.7M (1,727,962) at 110, as in the paper's table 6.

Shapes: B batch, C channels of the image, W width, H height and width of the image, K classes, D = 4 W.
With another stem than 3x3 every H below the input is half as large, or a quarter with pooling.

    input    [B, C, H, H]          stage2    [B, 2W, H/2, H/2]
    stem     [B, W, H, H]          stage3    [B, 4W, H/4, H/4]
    stage1   [B, W, H, H]          features  [B, D]    mean over the image
                                   logits    [B, K]
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from ablata.models.backbones.base import Classifier
from ablata.nn.small_resnet import SmallResNet, SmallResNetSettings


class CifarResNet(Classifier, SmallResNetSettings):
    """Residual network of 6n + 2 layers for small images."""

    kind: Literal["cifar_resnet"] = "cifar_resnet"
    depth: int = Field(default=20, ge=8)
    """Layers with weights, 6n + 2: 20, 32, 44, 56, 110 in the paper."""
    width: int = Field(default=16, ge=1)
    """Channels of the first stage; the others have two and four times as many."""
    preactivation: bool = False
    """Normalise and activate before each convolution, and leave the residual path free of both."""

    @field_validator("depth")
    @classmethod
    def _is_six_n_plus_two(cls, depth: int) -> int:
        if (depth - 2) % 6:
            below = depth - (depth - 2) % 6
            raise ValueError(f"must be 6n + 2, such as {below} or {below + 6}")
        return depth

    @model_validator(mode="after")
    def _final_norm_needs_preactivation(self) -> CifarResNet:
        if not (self.final_norm or self.preactivation):
            raise ValueError("final_norm=false must go with preactivation=true: there is no final norm without it")
        return self

    def build(self, classes: int, channels: int = 3) -> SmallResNet:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        width, blocks = self.width, (self.depth - 2) // 6
        widths = (width, width, 2 * width, 4 * width)
        return SmallResNet(self, widths, blocks, self.preactivation, classes, channels)
