"""ResNet and Wide ResNet for 32 x 32 images, with the variants of published recipes.

Sources: He et al. 2016a, arXiv 1512.03385, section 4.2; with pre-activation He et al. 2016b, arXiv 1603.05027; wide
networks, and dropout inside the residual, Zagoruyko & Komodakis 2016, arXiv 1605.07146, table 1 and sections 2.4 and 3.

Three stages of n blocks of two 3x3 convolutions, each stage half as large and twice as wide as the one before.

Shapes: B batch, C channels of the image, W0 to W3 widths of stem and stages, H height and width of the image, s stride
of the stem (1, 2, or 4 with pooling), K classes.

    input    [B, C, H, H]              stage2    [B, W2, H/2s, H/2s]
    stem     [B, W0, H/s, H/s]         stage3    [B, W3, H/4s, H/4s]
    stage1   [B, W1, H/s, H/s]         features  [B, W3]    mean over the image
                                       logits    [B, K]
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.models.backbones.base import Classifier
from ablata.nn.kernels.pooling import global_average

Fraction = Annotated[float, Field(ge=0, lt=1)]
ShortcutName = Literal["pad", "conv", "conv3x3"]


class ResidualSettings(Settings):
    """Base of residual blocks' settings; not itself a choice."""

    kind: str
    """Which network."""
    shortcut: ShortcutName = "pad"
    """Where shapes change: picked pixels and zero channels (pad, option A), or a convolution of 1x1 (conv, option B) or
    3x3, which is normalised in networks without pre-activation."""
    zero_init_residual: bool = False
    """Start the last normalisation weight of a block at 0: the block begins as the identity. With pre-activation and
    ReLU it stays the identity for ever: that weight lies before a ReLU, whose gradient at 0 is 0."""
    activation: Literal["relu", "leaky_relu", "silu"] = "relu"
    """Activation after each normalisation; leaky_relu has `slope` below 0, silu is x sigmoid(x)."""
    slope: float = Field(default=0.01, ge=0, lt=1)
    """Slope of the leaky ReLU below 0; the other activations have none."""
    init_slope: float = Field(default=0.0, ge=0, lt=1)
    """Slope a of the leaky ReLU that initial weights are drawn for, variance 2 / ((1 + a^2) fan-in); whatever the
    activation."""
    dropout: Fraction = 0.0
    """Fraction of the values in each residual path that is dropped in training."""
    channel_drop: int = Field(default=0, ge=0)
    """Most channels of each residual path, for each image, that are zeroed in training; 0 is off."""
    dropout_position: Literal["between", "before_last", "after_last"] = "before_last"
    """Where in the residual path both act: behind the first convolution, before the last one, or at the end."""

    def make_activation(self) -> nn.Module:
        """Return the activation. In place it would save memory, but cost 9 to 13% of a step on the processor."""
        if self.activation == "leaky_relu":
            return nn.LeakyReLU(self.slope)
        return nn.ReLU() if self.activation == "relu" else nn.SiLU()

    def make_drop(self, place: str) -> nn.Module:
        """Return what drops values at a place of the residual path: nothing but at `dropout_position`."""
        chosen: list[nn.Module] = []
        if place == self.dropout_position and self.dropout:
            chosen.append(nn.Dropout(self.dropout))
        if place == self.dropout_position and self.channel_drop:
            chosen.append(ChannelDrop(self.channel_drop))
        return nn.Sequential(*chosen) if chosen else nn.Identity()


class BasicBlock(nn.Module):
    """Basic residual block: x + conv-norm-act-conv-norm(x), then act (He et al. 2016a, figure 2).

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        stride: step of the first convolution: 1, or 2 to halve the image.
        settings: the variants.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, settings: ResidualSettings) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut = make_shortcut(settings.shortcut, inputs, outputs, stride, norm=True)
        self.activation = settings.make_activation()
        self.between, self.before_last = settings.make_drop("between"), settings.make_drop("before_last")
        self.after_last = settings.make_drop("after_last")

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        residual = self.between(self.conv1(x))
        residual = self.before_last(self.activation(self.norm1(residual)))
        residual = self.after_last(self.norm2(self.conv2(residual)))
        out: Tensor = self.activation(residual + self.shortcut(x))
        return out


class PreactivationBlock(nn.Module):
    """Pre-activation residual block: x + norm-act-conv-norm-act-conv(x) (He et al. 2016b, figure 1 b).

    Where the shape changes, the shortcut too starts from the normalised and activated x. Arguments are those of
    `BasicBlock`.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, settings: ResidualSettings) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv3x3(inputs, outputs, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), conv3x3(outputs, outputs)
        self.changes = inputs != outputs or stride > 1
        self.shortcut = make_shortcut(settings.shortcut, inputs, outputs, stride, norm=False)
        self.activation = settings.make_activation()
        self.between, self.before_last = settings.make_drop("between"), settings.make_drop("before_last")
        self.after_last = settings.make_drop("after_last")

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        active = self.activation(self.norm1(x))
        residual = self.between(self.conv1(active))
        residual = self.before_last(self.activation(self.norm2(residual)))
        out: Tensor = self.after_last(self.conv2(residual)) + self.shortcut(active if self.changes else x)
        return out


class PadShortcut(nn.Module):
    """Shortcut option A (He et al. 2015): every second pixel at stride 2, zero-padded channels; no parameters.

    Args:
        added: zero channels.
        stride: step from one picked pixel to the next.
    """

    def __init__(self, added: int, stride: int = 2) -> None:
        super().__init__()
        self.before, self.after, self.stride = added // 2, added - added // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, H] to [B, C + added, H / stride, H / stride]."""
        picked = _pick(x, self.stride)
        batch, _, height, width = picked.shape
        before, after = (picked.new_zeros(batch, added, height, width) for added in (self.before, self.after))
        return torch.cat((before, picked, after), 1)


def _pick(x: Tensor, stride: int) -> Tensor:
    """Return x[:, :, ::s, ::s] by way of [B, C, H / s, s, W / s, s], whose gradient compiles to faster loops.

    Where a slice with a step is compiled, its backward pass asks of every value whether it was picked.
    """
    missing = [-side % stride for side in x.shape[2:]]
    if any(missing):
        x = F.pad(x, (0, missing[1], 0, missing[0]))
    batch, channels, height, width = x.shape
    return x.view(batch, channels, height // stride, stride, width // stride, stride)[:, :, :, 0, :, 0]


class ChannelDrop(nn.Module):
    """Channel dropout without rescaling: zero some whole channels of each image in training.

    How many is drawn evenly from 0 to `most` for each image, then which.

    Args:
        most: the highest number of channels.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, H] to the same shape."""
        if not self.training:
            return x
        images, channels = x.shape[:2]
        rank = torch.rand(images, channels, device=x.device).argsort(1).argsort(1)
        count = torch.randint(self.most + 1, (images, 1), device=x.device)
        return x.masked_fill((rank < count)[:, :, None, None], 0)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias: [B, inputs, H, H] to [B, outputs, ceil(H / stride), ceil(H / stride)]."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def make_shortcut(kind: ShortcutName, inputs: int, outputs: int, stride: int, *, norm: bool) -> nn.Module:
    """Return what brings the input of a block to the shape of its output; the identity where they agree.

    Args:
        kind: see `ResidualSettings.shortcut`.
        inputs: channels of the input.
        outputs: channels of the output.
        stride: that of the block.
        norm: normalise behind a convolution.
    """
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if kind == "pad":
        return PadShortcut(outputs - inputs, stride)
    side = 3 if kind == "conv3x3" else 1
    conv = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs)) if norm else conv


class SmallResNetSettings(ResidualSettings):
    """Base of small residual networks' settings; not itself a choice."""

    stem: Literal["3x3", "3x3_s2", "3x3_s2_pool", "7x7_s2_pool"] = "3x3"
    """First convolution: its side; s2: of stride 2; pool: a 3x3 maximum of stride 2 follows (7x7_s2_pool: ImageNet)."""
    final_norm: bool = True
    """With pre-activation: normalise what leaves the last stage; its activation stays either way."""
    features_dropout: Fraction = 0.0
    """Fraction of the features that is dropped before the classifier in training."""
    logits_dropout: Fraction = 0.0
    """Fraction of the logits that is dropped behind the classifier in training."""
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
        elif isinstance(module, BasicBlock | PreactivationBlock) and settings.zero_init_residual:
            nn.init.zeros_(module.norm2.weight)


class CifarResNet(Classifier, SmallResNetSettings):
    """ResNet of 6n + 2 layers for small images.

    With 10 classes, width 16 and option A shortcuts the parameters are 0.27M (269,722) at depth 20, 0.46M (464,154) at
    32, 0.66M (658,586) at 44, 0.85M (853,018) at 56 and 1.7M (1,727,962) at 110, as in the paper's table 6.
    """

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


class WideResNet(Classifier, SmallResNetSettings):
    """Wide ResNet of 6n + 4 layers for small images: pre-activation, dropout between convolutions where wanted.

    Depth is 6n + 4: the paper counts the convolutions of the two or three shortcuts too. Some count the classifier as
    well, so that WRN-29-10 is WRN-28-10; both depths are taken and become one. With 10 classes the parameters in
    millions are those of the paper's tables 4 and 5: 40-1 0.6, 40-2 2.2, 40-4 8.9, 40-8 35.7, 28-10 36.5, 28-12 52.5,
    22-8 17.2, 22-10 26.8, 16-8 11.0, 16-10 17.1.
    """

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
