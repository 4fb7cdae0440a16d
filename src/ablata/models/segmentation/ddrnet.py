"""DDRNet: two branches of different resolution that exchange their maps, and pooling at several scales at 1/64.

Source: Hong et al. 2021, arXiv 2101.06085, table 1 and figures 3 to 5. What the paper leaves open (biases of the stem's
convolutions, activation before every exchange and none behind a stage, corners not aligned) is as in its authors' code
(ydhongHIT/DDRNet), whose parameters and logits this network has: for 19 classes 5,695,987 parameters at the slim width
and 20,148,947 at the full one, with the auxiliary head 38,355 and 150,419 more.

Shapes: B batch, C channels of the image, H and W its sides, W0 width, P width of the pooling's branches, K classes. A
side at stride s is ceil(H / s): a size that 64 does not divide is handled.

    input    [B, C, H, W]              detail4  [B, 2W0, H/8, W/8]     behind the first exchange
    stem     [B, W0, H/4, W/4]         detail5  [B, 2W0, H/8, W/8]     behind the second
    stage1   [B, W0, H/4, W/4]         context  [B, 4W0, H/64, W/64]   behind the pooling
    stage2   [B, 2W0, H/8, W/8]        fused    [B, 4W0, H/8, W/8]
    stage3   [B, 4W0, H/16, W/16]      logits   [B, K, H/8, W/8]
    stage4   [B, 8W0, H/32, W/32]      aux8     [B, K, H/8, W/8]       in training only, from detail4
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ablata.base.errors import SettingsError
from ablata.base.parts import NamedPart
from ablata.models.segmentation.base import DenseHead, Init, Segmenter, SegmenterSettings, init_weights
from ablata.nn.conv_norm_act import ConvNormAct, NormName
from ablata.nn.pooled_gates import pooled_norm
from ablata.nn.single_values import SingleValueError
from ablata.nn.upsampling import Bilinear, Upsampling

_DEEPEST = 64
"""Stride of the deepest map."""
_ONE_PIXEL = 32
"""Side of which a map at 1/32 is one pixel, that a convolution of stride 2 then sees alone."""
_POOLED = ((5, 2), (9, 4), (17, 8))
"""Kernel and stride of the pooling's branches between the map itself and its mean."""


class DDRNet(SegmenterSettings):
    """DDRNet: dual-resolution network; by default DDRNet-23-slim."""

    kind: Literal["ddrnet"] = "ddrnet"
    width: Annotated[int, Field(ge=1)] = 32
    """W0: channels of the stem; 32: DDRNet-23-slim, 64: DDRNet-23, with a head of 128."""
    pool_width: Annotated[int, Field(ge=1)] = 128
    """P: channels of each branch of the pooling (DAPPM)."""
    head: DenseHead = DenseHead(width=64)
    """Layers from the fused map, normalised and activated, to logits."""
    aux: DenseHead | None = DenseHead(width=64)
    """Layers of the head behind the first exchange, there in training alone; null: there is none."""
    upsample: Upsampling = Bilinear()
    """How a coarser map gets to the finer one's size."""
    logits_upsample: Upsampling = Bilinear()
    """How logits get to the image's size."""
    pooled_norm: NormName | NamedPart = "batch"
    """Normalisation of means over windows and the image; batch refuses a batch of one image in training."""
    init: Init = "kaiming_out"
    """Distribution of initial weights."""

    def build(self, classes: int, channels: int = 3) -> DDRNetModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return DDRNetModel(self, classes, channels)

    def published_name(self, name: str) -> str | None:
        """Translate a name of the authors' states to ours; their classifier of images (ImageNet) has no place here."""
        for pattern, ours in _PUBLISHED:
            name = re.sub(pattern, ours, name)
        return name

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor belongs to what weights of ImageNet hold: all but pooling and heads."""
        return not name.startswith(("pool.", "head", "aux"))

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters that weights of ImageNet do not hold: pooling and heads."""
        return ("pool.*", "head*", "aux*") if self.aux else ("pool.*", "head*")


_PUBLISHED = (
    (r"^(?:module|model)\.", ""),
    (r"^conv1\.", "stem."),
    (r"^layer(\d)\.", r"stage\1."),
    (r"^layer(\d)_\.", r"detail\1."),
    (r"^compression(\d)\.", r"to_detail\1."),
    (r"^down(\d)\.", r"to_context\1."),
    (r"^((?:stage|detail)\d\.\d)\.conv(\d)\.", lambda found: f"{found[1]}.branch.{int(found[2]) - 1}.conv."),
    (r"^((?:stage|detail)\d\.\d)\.bn(\d)\.", lambda found: f"{found[1]}.branch.{int(found[2]) - 1}.norm."),
    (r"\.downsample\.", ".shortcut."),
    (r"^spp\.scale(\d)\.", r"pool.reduce.\1."),
    (r"^spp\.process(\d)\.", lambda found: f"pool.refine.{int(found[1]) - 1}."),
    (r"^spp\.", "pool."),
    (r"^final_layer\.", "head."),
    (r"^seghead_extra\.", "aux.aux8."),
    (r"^(head|aux)(\.aux8)?\.bn1\.", r"\1_norm."),
    (r"^(head|aux\.aux8)\.conv1\.", r"\1.hidden.conv."),
    (r"^(head|aux\.aux8)\.bn2\.", r"\1.hidden.norm."),
    (r"^(head|aux\.aux8)\.conv2\.", r"\1.classifier."),
)
"""Applied in this order."""


class ResidualUnit(nn.Module):
    """Residual block: convolutions with normalisation, and a shortcut; activated, or left to whoever exchanges it.

    Args:
        inputs: channels in.
        widths: channels behind each convolution.
        kernels: their sides.
        stride: of the one of 3x3 that comes first.
        activate: whether the sum is activated.
    """

    def __init__(
        self, inputs: int, widths: tuple[int, ...], kernels: tuple[int, ...], stride: int, *, activate: bool
    ) -> None:
        super().__init__()
        first, outputs = kernels.index(3), widths[-1]
        layers = [
            ConvNormAct(
                before,
                after,
                kernel,
                stride=stride if number == first else 1,
                activation="relu" if number < len(kernels) - 1 else "none",
            )
            for number, (before, after, kernel) in enumerate(zip((inputs, *widths), widths, kernels, strict=False))
        ]
        self.branch = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = _conv_norm(inputs, outputs, 1, stride)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, h, w] to [B, outputs, h/stride, w/stride]."""
        total = self.branch(x) + self.shortcut(x)
        return functional.relu(total, inplace=True) if self.activate else total


class DeepPooling(nn.Module):
    """Deep aggregation pyramid pooling module (DAPPM): means over growing windows, each refined with the one before.

    Args:
        inputs: channels in.
        width: P.
        outputs: channels out.
        upsample: how means get to the map's size.
        norm: normalisation of the means.
    """

    def __init__(self, inputs: int, width: int, outputs: int, upsample: Upsampling, norm: str) -> None:
        super().__init__()
        self.reduce = nn.ModuleList([_norm_act_conv(inputs, width)])
        means = [nn.AvgPool2d(kernel, stride, padding=stride) for kernel, stride in _POOLED]
        for mean in (*means, nn.AdaptiveAvgPool2d(1)):
            branch = nn.Sequential(mean, *_norm_act_conv(inputs, width))
            # Of a small map a window's mean, too, is one number a channel.
            branch[1] = pooled_norm(norm, inputs)
            self.reduce.append(branch)
        self.enlarge = nn.ModuleList(upsample.build(width, stride) for stride in (2, 4, 8, 16))
        self.refine = nn.ModuleList(_norm_act_conv(width, width, kernel=3) for _ in self.enlarge)
        self.compression = _norm_act_conv(5 * width, outputs)
        self.shortcut = _norm_act_conv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, h, w] to [B, outputs, h, w]."""
        size = (x.shape[2], x.shape[3])
        first, *coarser = self.reduce
        found = [first(x)]
        for reduce, enlarge, refine in zip(coarser, self.enlarge, self.refine, strict=True):
            found.append(refine(enlarge(reduce(x), size) + found[-1]))
        out: Tensor = self.compression(torch.cat(found, 1)) + self.shortcut(x)
        return out


class DDRNetModel(Segmenter):
    """The network; see the head of the file for its shapes.

    Args:
        settings: widths and heads.
        classes: K.
        channels: C.
    """

    embedded = "fused"

    def __init__(self, settings: DDRNet, classes: int, channels: int) -> None:
        super().__init__()
        width = settings.width
        fine = 2 * width
        self.stem = nn.Sequential(
            *(nn.Conv2d(channels, width, 3, 2, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
            *(nn.Conv2d(width, width, 3, 2, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
        )
        self.stage1, self.stage2 = _stage(width, width, 1), _stage(width, fine, 2)
        self.stage3, self.stage4 = _stage(fine, 4 * width, 2), _stage(4 * width, 8 * width, 2)
        self.stage5 = _bottleneck(8 * width, 2)
        self.detail3, self.detail4 = _stage(fine, fine, 1), _stage(fine, fine, 1)
        self.detail5 = _bottleneck(fine, 1)
        self.to_detail3, self.to_detail4 = _conv_norm(4 * width, fine, 1), _conv_norm(8 * width, fine, 1)
        self.to_context3 = _conv_norm(fine, 4 * width, 3, 2)
        halved = (*_conv_norm(fine, 4 * width, 3, 2), nn.ReLU(inplace=True))
        self.to_context4 = nn.Sequential(*halved, *_conv_norm(4 * width, 8 * width, 3, 2))
        self.pool = DeepPooling(16 * width, settings.pool_width, 4 * width, settings.upsample, settings.pooled_norm)
        self.enlarge3, self.enlarge4 = settings.upsample.build(fine, 2), settings.upsample.build(fine, 4)
        self.enlarge5 = settings.upsample.build(4 * width, 8)
        self.head_norm = nn.BatchNorm2d(4 * width)
        self.aux_norm: nn.Module = nn.Identity()
        self.head = settings.head.build(4 * width, classes, "batch", settings.logits_upsample, 8)
        self.aux = nn.ModuleDict()
        if settings.aux is not None:
            self.aux_norm = nn.BatchNorm2d(fine)
            self.aux["aux8"] = settings.aux.build(fine, classes, "batch", settings.logits_upsample, 8)
        init_weights(self, settings.init)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: in training, one image of at most 64x64 pixels, or images of 32 pixels or less.
        """
        size = (images.shape[2], images.shape[3])
        if self.training and min(size) <= _ONE_PIXEL:
            raise SettingsError(
                f"Images must be more than {_ONE_PIXEL} pixels high and wide in training for this network",
                found=f"{size[0]}x{size[1]} (height x width): its pooling sees one pixel, and gradients "
                "in bf16 may not be finite",
                do="set data.augment.crop.height and data.augment.crop.width to 64 or more, or enlarge the images",
            )
        if self.training and len(images) == 1 and max(size) <= _DEEPEST:
            raise SingleValueError(
                f"One image a batch must be more than {_DEEPEST} pixels high or wide in training for this network",
                found=f"{size[0]}x{size[1]} (height x width)",
                do="take a larger batch, or larger crops",
            )
        relu = functional.relu
        outputs: dict[str, Tensor] = {"stem": self.stem(images)}
        outputs["stage1"] = self.stage1(outputs["stem"])
        x = outputs["stage2"] = self.stage2(relu(outputs["stage1"]))
        x = relu(x)
        fine = (x.shape[2], x.shape[3])
        detail, context = self.detail3(x), self.stage3(x)
        outputs["stage3"] = context + self.to_context3(relu(detail))
        outputs["detail4"] = detail + self.enlarge3(self.to_detail3(relu(context)), fine)
        detail, context = self.detail4(relu(outputs["detail4"])), self.stage4(relu(outputs["stage3"]))
        outputs["stage4"] = context + self.to_context4(relu(detail))
        outputs["detail5"] = detail + self.enlarge4(self.to_detail4(relu(context)), fine)
        outputs["context"] = self.pool(self.stage5(relu(outputs["stage4"])))
        outputs["fused"] = self.detail5(relu(outputs["detail5"])) + self.enlarge5(outputs["context"], fine)
        outputs["logits"] = self.head(relu(self.head_norm(outputs["fused"])), size)
        if self.training:
            sources = {"aux8": relu(self.aux_norm(outputs["detail4"]))} if self.aux else {}
            self._add_for_training(outputs, sources, size)
        return outputs


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return two residual blocks, of which the last does not activate."""
    return nn.Sequential(
        ResidualUnit(inputs, (outputs, outputs), (3, 3), stride, activate=True),
        ResidualUnit(outputs, (outputs, outputs), (3, 3), 1, activate=False),
    )


def _bottleneck(width: int, stride: int) -> nn.Sequential:
    """Return a bottleneck to twice the channels, which does not activate."""
    return nn.Sequential(ResidualUnit(width, (width, width, 2 * width), (1, 3, 1), stride, activate=False))


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _norm_act_conv(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), conv)
