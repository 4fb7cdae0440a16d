"""A tiny convolutional network for 8 x 8 grey images, in the manner of LeNet (LeCun et al. 1998); trains in seconds.

Shapes: B batch, C channels of the image, W width, H height and width of the image, K classes.

    input    [B, C, H, H]
    stem     [B, W, H, H]
    stage1   [B, 2W, H/2, H/2]      each stage halves the image and, from the first on, has 2W channels
    stage2   [B, 2W, H/4, H/4]
    features [B, 2W]                mean over the image
    logits   [B, K]
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ablata.base.parts import NamedPart
from ablata.models.backbones.base import Classifier
from ablata.nn.conv_norm_act import ActivationName, ConvNormAct, NormName


class DigitsNet(Classifier):
    """Small convolutional network for images of 8 x 8."""

    kind: Literal["digits_net"] = "digits_net"
    width: int = Field(default=16, ge=1)
    """Channels of the stem; the stages have twice as many."""
    depth: int = Field(default=2, ge=1, le=3)
    """Stages, each of which halves the image."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the features that is dropped before the classifier in training."""
    norm: NormName | NamedPart = "batch"
    """batch, group or none; without batch normalisation two processes give the losses of one."""
    activation: ActivationName | NamedPart = "relu"
    """Activation after each convolution."""

    def build(self, classes: int, channels: int = 1) -> DigitsNetModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return DigitsNetModel(self, classes, channels)


class DigitsNetModel(nn.Module):
    """The network; see the head of the file for its shapes.

    Args:
        settings: width, depth, dropout, normalisation, activation.
        classes: K.
        channels: C.
    """

    def __init__(self, settings: DigitsNet, classes: int, channels: int) -> None:
        super().__init__()
        width, norm, activation = settings.width, settings.norm, settings.activation
        self.stem = ConvNormAct(channels, width, norm=norm, activation=activation)
        inputs = [width] + [2 * width] * (settings.depth - 1)
        self.stages = nn.ModuleList(
            ConvNormAct(count, 2 * width, stride=2, norm=norm, activation=activation) for count in inputs
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(2 * width, classes)
        if norm == "none":
            # With torch's smaller initial weights the signal fades from layer to layer, and nothing restores it.
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the named outputs."""
        x = self.stem(images)
        outputs = {"stem": x}
        for number, stage in enumerate(self.stages, start=1):
            x = outputs[f"stage{number}"] = stage(x)
        features = outputs["features"] = x.mean((2, 3))
        outputs["logits"] = self.classifier(self.dropout(features))
        return outputs
