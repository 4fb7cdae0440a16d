"""Wide residual network for 32 x 32 images.

Source: Zagoruyko & Komodakis 2016, arXiv 1605.07146, table 1 and section 3; pre-activation, blocks of two 3x3
convolutions, dropout between them where wanted (`dropout`; the paper tries 0.3).

Three stages of n blocks, depth 6n + 4: the paper counts the convolutions of the two or three shortcuts too. Some count
the classifier as well, so that WRN-29-10 is WRN-28-10; both depths are taken and become one.
With 10 classes the parameters in millions are those of the paper's tables 4 and 5: 40-1 0.6, 40-2 2.2, 40-4 8.9,
40-8 35.7, 28-10 36.5, 28-12 52.5, 22-8 17.2, 22-10 26.8, 16-8 11.0, 16-10 17.1.

Shapes: B batch, C channels of the image, F factor, H height and width of the image, K classes.
With another stem than 3x3 every H below the input is half as large, or a quarter with pooling.

    input    [B, C, H, H]          stage2    [B, 32F, H/2, H/2]
    stem     [B, 16, H, H]         stage3    [B, 64F, H/4, H/4]
    stage1   [B, 16F, H, H]        features  [B, 64F]    mean over the image
                                   logits    [B, K]
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ablata.models.backbones.base import Classifier
from ablata.nn.residual import ShortcutName
from ablata.nn.small_resnet import SmallResNet, SmallResNetSettings


class WideResNet(Classifier, SmallResNetSettings):
    """Wide residual network of 6n + 4 layers for small images."""

    kind: Literal["wide_resnet"] = "wide_resnet"
    depth: int = Field(default=28, ge=10)
    """Layers with weights, 6n + 4: 16, 22, 28, 40 in the paper; with the classifier counted too, 6n + 5, it is the same
    network and is written as 6n + 4."""
    factor: int = Field(default=10, ge=1)
    """Channels of the stages relative to 16, 32 and 64."""
    shortcut: ShortcutName = "conv"
    """Where shapes change: picked pixels and zero channels (pad), or a convolution of 1x1 (conv, published) or 3x3."""

    @field_validator("depth")
    @classmethod
    def _is_six_n_plus_four(cls, depth: int) -> int:
        rest = (depth - 4) % 6
        if rest > 1:
            raise ValueError(f"must be 6n + 4, such as {depth - rest} or {depth - rest + 6}")
        return depth - rest

    def build(self, classes: int, channels: int = 3) -> SmallResNet:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        widths = (16, 16 * self.factor, 32 * self.factor, 64 * self.factor)
        return SmallResNet(self, widths, (self.depth - 4) // 6, True, classes, channels)
