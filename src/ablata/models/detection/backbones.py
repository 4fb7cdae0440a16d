"""Backbones of detectors: feature pyramid networks, ResNet up to its fourth stage (C4), a small one.

Feature pyramid: Lin et al. 2017, arXiv 1612.03144; C4: He et al. 2017, arXiv 1703.06870, section 3.1.

Shapes: B images, H and W multiples of 32.

    timm     levels 0 to 3: [B, 256, H/4, W/4] to [B, 256, H/32, W/32]; level 4, H/64, is every second cell of level 3
    c4       one level: [B, 1024, H/16, W/16]; `tail` is ResNet's last stage, which regions go through one by one
    small    one level: [B, width x 2, H/4, W/4], of which a cell sees 31 x 31 pixels
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ablata.base.errors import SettingsError
from ablata.base.parts import OpenPart
from ablata.models.backbones.any import AnyBackbone
from ablata.models.backbones.base import BackboneModule
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.timm_features import TimmFeatures, TimmMaps
from ablata.models.backbones.weights import Loadable
from ablata.models.detection.base import DetectionBackbone, DetectionBackboneModule

Norm = Literal["batch", "frozen"]


class _Pretrained(Loadable, DetectionBackbone):
    """A backbone that can begin with weights of a file; not itself a choice."""

    norm: Norm = "batch"
    """batch: normalise over the batch; frozen: keep the statistics that the weights came with (small batches)."""
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = 0
    """How many parts stay as they are, the stem first: 2 leaves out stem and first stage, as is usual with weights."""

    def without_weights(self) -> Self:
        """Return the backbone without its file of weights."""
        return self.model_copy(update={"weights": None})

    def untrained(self) -> Self:
        """Return the backbone without weights and with nothing frozen."""
        return self.model_copy(update={"weights": None, "norm": "batch", "frozen_stages": 0})

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor belongs to the backbone: all of them do."""
        return True

    def load_and_freeze(self, body: nn.Module) -> None:
        """Load weights into a body and freeze what is to stay.

        Raises:
            CheckpointError: the file cannot be read, or lacks tensors of the body.
            SettingsError: stages are to be frozen that the network has not.
        """
        self.load_into(body)
        if self.norm == "frozen":
            _freeze_norms(body)
        network = body.network if isinstance(body, TimmMaps) else body
        parts = _stages(network)
        if len(parts) < self.frozen_stages:
            raise SettingsError(
                "model.backbone.frozen_stages must be at most the network's parts",
                found=f"{self.frozen_stages}, of {len(parts)}",
                do=f"model.backbone.frozen_stages={len(parts)} or less",
            )
        for name, parameter in network.named_parameters():
            if any(name.startswith(f"{start}.") for part in parts[: self.frozen_stages] for start in part):
                parameter.requires_grad_(False)


def _stages(body: nn.Module) -> list[tuple[str, ...]]:
    """Return the names of a network's parts: what is before its first numbered stage, and each of these."""
    names: list[str] = []
    for name, child in body.named_children():
        inside = [f"{name}.{number}" for number, _ in child.named_children()] if name in _CONTAINERS else []
        names += inside or [name]
    stages = [name for name in names if _STAGE.match(name)]
    return [tuple(names[: names.index(stages[0])]), *((name,) for name in stages)] if stages else []


_CONTAINERS = ("blocks", "stages", "layers")
_STAGE = re.compile(rf"(layer|({'|'.join(_CONTAINERS)})[._])\d+$")


class Fpn(_Pretrained):
    """Feature pyramid network (FPN) over a network of timm."""

    FORMER_KINDS = ("fpn",)
    kind: Literal["timm"] = "timm"
    name: Annotated[str, Field(min_length=1)] = "resnet50"
    """timm's name of a network with stages of strides 4, 8, 16 and 32."""
    channels: Annotated[int, Field(ge=1)] = 256
    """Channels of every level."""

    def published_name(self, name: str) -> str | None:
        """Translate timm's name: the network is a part of ours."""
        return f"network.{name}"

    def build(self, in_channels: int = 3) -> BackboneFpnModule:
        """Make the backbone.

        Raises:
            SettingsError: timm has no such network, or it has other strides.
        """
        body = TimmFeatures(name=self.name).build_backbone(in_channels)
        # The pyramid first: it refuses a network of other strides, whose weights need not be read.
        module = BackboneFpnModule(body, self.channels)
        self.load_and_freeze(body)
        return module


class C4(_Pretrained):
    """C4: ResNet up to its fourth stage; the fifth is the RoI head."""

    has_tail: ClassVar[bool] = True
    kind: Literal["c4"] = "c4"
    depth: Literal[18, 50, 101] = 50
    """Layers of the ResNet."""

    def build(self, in_channels: int = 3) -> C4Module:
        """Make the backbone."""
        from torchvision import models

        network = {18: models.resnet18, 50: models.resnet50, 101: models.resnet101}[self.depth](weights=None)
        del network.fc
        if in_channels != 3:
            network.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.load_and_freeze(network)
        return C4Module(network)


class SmallCnn(DetectionBackbone):
    """Five convolutions for small images, with a small receptive field."""

    kind: Literal["small"] = "small"
    width: Annotated[int, Field(ge=1)] = 32
    """Channels of the first layers; the last have twice as many."""

    def build(self, in_channels: int = 3) -> SmallCnnModule:
        """Make the backbone."""
        return SmallCnnModule(self.width, in_channels)


class BackboneFpn(DetectionBackbone):
    """Feature pyramid network (FPN) over any backbone of the family."""

    kind: Literal["backbone_fpn"] = "backbone_fpn"
    backbone: AnyBackbone = ResNet()
    """Network with feature maps of strides 4, 8, 16 and 32; its weights come from `model.backbone.backbone.weights`."""
    norm: Norm = "batch"
    """batch: normalise over the batch; frozen: keep the statistics that the weights came with (small batches)."""
    channels: Annotated[int, Field(ge=1)] = 256
    """Channels of every level."""

    def weight_files(self) -> tuple[str, ...]:
        """Return the files of weights that the backbone begins with."""
        return self.backbone.weight_files()

    def without_weights(self) -> BackboneFpn:
        """Return the backbone without its file of weights."""
        return self.model_copy(update={"backbone": self.backbone.model_copy(update={"weights": None})})

    def untrained(self) -> BackboneFpn:
        """Return the backbone without weights and with nothing frozen."""
        return self.without_weights().model_copy(update={"norm": "batch"})

    def build(self, in_channels: int = 3) -> BackboneFpnModule:
        """Make the backbone.

        Raises:
            SettingsError: it lacks a feature map of one of the strides.
        """
        module = BackboneFpnModule(self.backbone.build_backbone(in_channels), self.channels)
        self.backbone.load_into(module)
        if self.norm == "frozen":
            _freeze_norms(module.backbone)
        return module


AnyDetectionBackbone = Annotated[
    Fpn | C4 | SmallCnn | BackboneFpn,
    OpenPart(
        DetectionBackbone,
        adapt="ablata.models.plain_detector:below_pyramid",
        plain="an nn.Module class that returns feature maps",
    ),
]


class BackboneFpnModule(DetectionBackboneModule):
    """FPN over a backbone.

    Args:
        backbone: gives feature maps by name.
        channels: of every level.
    """

    def __init__(self, backbone: BackboneModule, channels: int) -> None:
        super().__init__()
        from torchvision.ops import FeaturePyramidNetwork

        self.backbone = backbone
        try:
            self.names = [backbone.at_stride(stride) for stride in (4, 8, 16, 32)]
        except SettingsError as error:
            raise SettingsError(
                "A feature pyramid needs a network with maps of strides 4, 8, 16 and 32",
                found=error.found,
                do="take another, such as model.backbone=timm model.backbone.name=resnet50",
            ) from None
        self.pyramid = FeaturePyramidNetwork([backbone.widths[name] for name in self.names], channels)
        self.channels, self.levels = channels, len(self.names) + 1

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the levels, the finest first; the last is for proposals alone."""
        outputs = self.backbone(images)
        levels = list(self.pyramid({name: outputs[name] for name in self.names}).values())
        return [*levels, F.max_pool2d(levels[-1], 1, 2)]


class C4Module(DetectionBackboneModule):
    """ResNet without its last stage, which is kept as `tail`.

    Args:
        network: torchvision's ResNet without its classifier.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.Sequential(network.layer1, network.layer2, network.layer3)
        self.tail = network.layer4
        wide = 4 if hasattr(network.layer1[0], "conv3") else 1
        self.channels, self.tail_channels, self.levels = 256 * wide, 512 * wide, 1

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the one level."""
        return [self.stages(self.stem(images))]


class SmallCnnModule(DetectionBackboneModule):
    """Five convolutions, of which the first two halve.

    Args:
        width: channels of the first three.
        in_channels: of the images.
    """

    def __init__(self, width: int, in_channels: int = 3) -> None:
        super().__init__()
        plan = [
            (in_channels, width, 2),
            (width, width, 2),
            (width, width, 1),
            (width, 2 * width, 1),
            (2 * width, 2 * width, 1),
        ]
        self.body = nn.Sequential(*(_block(before, after, stride) for before, after, stride in plan))
        self.channels, self.levels = 2 * width, 1

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the one level."""
        return [self.body(images)]


def _block(before: int, after: int, stride: int) -> nn.Module:
    conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _freeze_norms(module: nn.Module) -> None:
    """Replace every batch normalisation by a frozen one (FrozenBatchNorm2d)."""
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            state = {key: value for key, value in child.state_dict().items() if key != "num_batches_tracked"}
            fixed.load_state_dict(state)
            # timm's normalisations hold an activation.
            activation = getattr(child, "act", None)
            setattr(module, name, fixed if activation is None else nn.Sequential(fixed, activation))
        else:
            _freeze_norms(child)
