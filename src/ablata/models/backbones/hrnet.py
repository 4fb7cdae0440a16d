"""HRNet as a backbone: parallel branches of four resolutions with fusion layers.

Source: Wang et al. 2019, arXiv 1908.07919, section 3; layers and names as in the authors' code and in timm.

Shapes: B batch, C channels of the image, H and W its sides, w width of the first branch. A side at stride s is
ceil(H / s): a size that 32 does not divide is handled.

    input    [B, C, H, W]             branch1  [B, w, H/4, W/4]      branch3  [B, 4w, H/16, W/16]
    stem     [B, 64, H/4, W/4]        branch2  [B, 2w, H/8, W/8]     branch4  [B, 8w, H/32, W/32]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.models.backbones.base import Backbone, BackboneModule, init_convolutions
from ablata.models.backbones.resnet_blocks import BlockSettings, ResidualBlock
from ablata.nn.conv_norm_act import ConvNormAct
from ablata.nn.upsampling import Bilinear, Upsampling

_STEM = 64


class HRNetBranches(Settings):
    """Base of HRNets' settings; not itself a choice."""

    width: Annotated[int, Field(ge=1)] = 48
    """w: channels of the first branch; 18, 32 and 48 are published. Each further branch has twice as many."""
    exchanges: tuple[int, int, int] = (1, 4, 3)
    """How often two, three and four branches are each deepened and exchanged."""
    blocks: Annotated[int, Field(ge=1)] = 4
    """Residual blocks of a branch between two exchanges, and of the first stage."""
    exchange_upsample: Upsampling = Bilinear(align_corners=True)
    """How a small map reaches a larger one; the published classifiers have nearest."""

    def widths(self) -> tuple[int, int, int, int]:
        """Return the channels of the branches."""
        return self.width, 2 * self.width, 4 * self.width, 8 * self.width

    def build_backbone(self, channels: int = 3) -> HRNetBackbone:
        """Make the branches for images of `channels` channels; weights come from torch's global generator."""
        backbone = HRNetBackbone(self, channels)
        init_convolutions(backbone)
        return backbone


class HRNetFeatures(Backbone, HRNetBranches):
    """HRNet as a backbone: its four branches are the feature maps."""

    kind: Literal["hrnet"] = "hrnet"

    def build_backbone(self, channels: int = 3) -> HRNetBackbone:
        """Make the branches for images of `channels` channels; weights come from torch's global generator."""
        return HRNetBranches.build_backbone(self, channels)

    def published_name(self, name: str) -> str | None:
        """Translate a name of the authors' and timm's classifiers to ours."""
        return published_backbone_name(name)


class HRNetBackbone(BackboneModule):
    """Stem, one stage of bottlenecks, and three stages of two, three and four branches.

    Args:
        settings: sizes and variants.
        channels: C.
    """

    def __init__(self, settings: HRNetBranches, channels: int) -> None:
        super().__init__()
        widths = settings.widths()
        self.widths = {f"branch{number}": width for number, width in enumerate(widths, start=1)}
        self.strides = {f"branch{number}": 2 ** (number + 1) for number in range(1, len(widths) + 1)}
        self.stem = nn.Sequential(ConvNormAct(channels, _STEM, stride=2), ConvNormAct(_STEM, _STEM, stride=2))
        layers = [
            _block(_STEM if index == 0 else 4 * _STEM, _STEM, bottleneck=True) for index in range(settings.blocks)
        ]
        self.layer1 = nn.Sequential(*layers)
        before: Sequence[int] = (4 * _STEM,)
        for count, times in zip((2, 3, 4), settings.exchanges, strict=True):
            self.add_module(f"transition{count - 1}", _transition(before, widths[:count]))
            exchanges = [HighResolutionModule(settings, widths[:count]) for _ in range(times)]
            self.add_module(f"stage{count}", nn.ModuleList(exchanges))
            before = widths[:count]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to stem and branches by name."""
        outputs = {"stem": self.stem(images)}
        maps = [self.layer1(outputs["stem"])]
        for count in (2, 3, 4):
            transition = self.get_submodule(f"transition{count - 1}")
            assert isinstance(transition, nn.ModuleList)
            # A branch that is new grows out of the last one there was.
            maps = [step(maps[min(index, len(maps) - 1)]) for index, step in enumerate(transition)]
            stage = self.get_submodule(f"stage{count}")
            assert isinstance(stage, nn.ModuleList)
            for exchange in stage:
                maps = exchange(maps)
        return outputs | {f"branch{number}": x for number, x in enumerate(maps, start=1)}


class HighResolutionModule(nn.Module):
    """High-resolution module: residual blocks in each branch, then multi-resolution fusion.

    Args:
        settings: blocks and upsampling.
        widths: channels of the branches.
    """

    def __init__(self, settings: HRNetBranches, widths: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_block(width, width, bottleneck=False) for _ in range(settings.blocks))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_path(widths, start, end) for start in range(len(widths))) for end in range(len(widths))
        )
        self.enlarge = settings.exchange_upsample.build(1, 2)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map the branches' maps to maps of the same shapes."""
        deeper = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for x, paths in zip(deeper, self.fuse_layers, strict=True):
            size = (x.shape[2], x.shape[3])
            assert isinstance(paths, nn.ModuleList)
            parts = [self.enlarge(path(y), size) for path, y in zip(paths, deeper, strict=True)]
            fused.append(F.relu(sum(parts[1:], start=parts[0])))
        return fused


def _block(inputs: int, width: int, *, bottleneck: bool) -> ResidualBlock:
    channels = (inputs, width, 4 * width if bottleneck else width)
    return ResidualBlock(BlockSettings(), channels, bottleneck=bottleneck, stride=1, dilation=1, activation="relu")


def _transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Return the steps from the branches there were to those there will be; one more, of half the size."""
    steps = nn.ModuleList()
    for index, width in enumerate(after):
        if index < len(before):
            steps.append(nn.Identity() if before[index] == width else ConvNormAct(before[index], width))
        else:
            steps.append(nn.Sequential(ConvNormAct(before[-1], width, stride=2)))
    return steps


def _path(widths: Sequence[int], start: int, end: int) -> nn.Module:
    """Return the layers from one branch to another: a 1x1 convolution up, 3x3 convolutions of stride 2 down."""
    if start == end:
        return nn.Identity()
    if start > end:
        return ConvNormAct(widths[start], widths[end], 1, activation="none")
    steps: list[nn.Module] = [ConvNormAct(widths[start], widths[start], stride=2) for _ in range(end - start - 1)]
    return nn.Sequential(*steps, ConvNormAct(widths[start], widths[end], stride=2, activation="none"))


def published_backbone_name(name: str) -> str | None:
    """Translate a name of the authors' and timm's states to ours; None for the layers of their classifier."""
    if re.match(r"(incre_modules|downsamp_modules|final_layer|classifier)\.", name):
        return None
    for pattern, ours in _PUBLISHED:
        name = re.sub(pattern, ours, name)
    return f"backbone.{name}"


_PUBLISHED = (
    (r"^conv(\d)\.", lambda found: f"stem.{int(found[1]) - 1}.conv."),
    (r"^bn(\d)\.", lambda found: f"stem.{int(found[1]) - 1}.norm."),
    (r"^((?:stage\d\.\d+\.fuse_layers|transition\d)\..*)\.0\.(\w+)$", r"\1.conv.\2"),
    (r"^((?:stage\d\.\d+\.fuse_layers|transition\d)\..*)\.1\.(\w+)$", r"\1.norm.\2"),
    (r"^((?:layer1|stage\d\.\d+\.branches\.\d+)\.\d+)\.conv(\d)\.", r"\1.units.\2.conv."),
    (r"^((?:layer1|stage\d\.\d+\.branches\.\d+)\.\d+)\.bn(\d)\.", r"\1.units.\2.norm."),
    (r"^(layer1\.\d+)\.downsample\.0\.", r"\1.shortcut.conv."),
    (r"^(layer1\.\d+)\.downsample\.1\.", r"\1.shortcut.norm."),
)
"""Applied in this order."""
