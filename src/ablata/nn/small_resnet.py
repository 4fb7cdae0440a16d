"""The residual network for small images, which models/cifar_resnet.py and models/wide_resnet.py size.

Letters: B batch, C channels of the image, W0 to W3 widths of stem and stages, H height and width of the image,
s stride of the stem (1, 2, or 4 with pooling), K classes.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ablata.nn.kernels.pooling import global_average
from ablata.nn.residual import BasicBlock, PreactivationBlock, ResidualSettings, Share


class SmallResNetSettings(ResidualSettings):
    """What residual networks for small images share; not itself a choice."""

    stem: Literal["3x3", "3x3_s2", "3x3_s2_pool", "7x7_s2_pool"] = "3x3"
    """First convolution: its side; s2: of stride 2; pool: a 3x3 maximum of stride 2 follows (7x7_s2_pool: ImageNet)."""
    final_norm: bool = True
    """With pre-activation: normalise what leaves the last stage; its activation stays either way."""
    features_dropout: Share = 0.0
    """Share of the features that is dropped before the classifier in training."""
    logits_dropout: Share = 0.0
    """Share of the logits that is dropped behind the classifier in training."""
    logit_norm: bool = False
    """Normalise the logits over the batch, each class by itself, as the last step before the loss."""


class SmallResNet(nn.Module):
    """Stem, three stages of blocks, mean over the image, classifier.

    Args:
        settings: the variants.
        widths: W0, W1, W2, W3; stages 2 and 3 halve the image.
        blocks: in each stage.
        preactivation: normalise and activate before each convolution rather than after.
        classes: K.
        channels: C.
    """

    def __init__(
        self,
        settings: SmallResNetSettings,
        widths: tuple[int, int, int, int],
        blocks: int,
        preactivation: bool,
        classes: int,
        channels: int,
    ) -> None:
        super().__init__()
        block = PreactivationBlock if preactivation else BasicBlock
        last = widths[-1]
        self.stem = _stem(settings.stem, channels, widths[0])
        self.stem_norm = nn.Identity() if preactivation else nn.BatchNorm2d(widths[0])
        self.stem_activation = nn.Identity() if preactivation else settings.make_activation()
        self.stem_pool = nn.MaxPool2d(3, 2, padding=1) if settings.stem.endswith("pool") else nn.Identity()
        self.stage1 = _stage(block, settings, widths[0], widths[1], 1, blocks)
        self.stage2 = _stage(block, settings, widths[1], widths[2], 2, blocks)
        self.stage3 = _stage(block, settings, widths[2], last, 2, blocks)
        self.final_norm = nn.BatchNorm2d(last) if preactivation and settings.final_norm else nn.Identity()
        self.final_activation = settings.make_activation() if preactivation else nn.Identity()
        self.features_dropout = nn.Dropout(settings.features_dropout)
        self.classifier = nn.Linear(last, classes, bias=not settings.logit_norm)
        self.logits_dropout = nn.Dropout(settings.logits_dropout)
        self.logit_norm = nn.BatchNorm1d(classes) if settings.logit_norm else nn.Identity()
        _init_weights(self, settings)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to stem [B, W0, H/s, H/s], stage1 to stage3, features [B, W3], logits [B, K]."""
        stem = self.stem_pool(self.stem_activation(self.stem_norm(self.stem(images))))
        stage1 = self.stage1(stem)
        stage2 = self.stage2(stage1)
        stage3 = self.stage3(stage2)
        features = global_average(self.final_activation(self.final_norm(stage3)))
        logits = self.logits_dropout(self.classifier(self.features_dropout(features)))
        return {
            "stem": stem,
            "stage1": stage1,
            "stage2": stage2,
            "stage3": stage3,
            "features": features,
            "logits": self.logit_norm(logits),
        }


def _stem(name: str, inputs: int, outputs: int) -> nn.Conv2d:
    side = 7 if name.startswith("7x7") else 3
    return nn.Conv2d(inputs, outputs, side, 2 if "_s2" in name else 1, padding=side // 2, bias=False)


def _stage(
    block: type[BasicBlock] | type[PreactivationBlock],
    settings: ResidualSettings,
    inputs: int,
    outputs: int,
    stride: int,
    blocks: int,
) -> nn.Sequential:
    first = block(inputs, outputs, stride, settings)
    return nn.Sequential(first, *(block(outputs, outputs, 1, settings) for _ in range(blocks - 1)))


def _init_weights(model: nn.Module, settings: ResidualSettings) -> None:
    """Draw convolutions and classifier from N(0, 2 / ((1 + a^2) fan-in)), with a for the activation's slope below 0
    (He et al. 2015, arXiv 1502.01852, equations 10 and 15)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=settings.init_slope, nonlinearity="leaky_relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, BasicBlock | PreactivationBlock) and settings.zero_gamma:
            nn.init.zeros_(module.norm2.weight)
