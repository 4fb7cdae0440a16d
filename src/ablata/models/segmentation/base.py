"""Base of semantic segmentation networks: heads, and logits upsampled in a step of their own.

Letters: B batch, H and W sides of the image, s stride of a map, C channels, D width of the head, K classes.
A map of stride s is [B, C, ceil(H / s), ceil(W / s)].
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.settings import Settings
from ablata.models.backbones.weights import Loadable
from ablata.nn.conv_norm_act import ConvNormAct
from ablata.nn.upsampling import Resize, Upsampling


class SegmenterSettings(Loadable):
    """Base of the settings of semantic segmentation networks; not itself a choice."""

    @abstractmethod
    def build(self, classes: int, channels: int) -> Segmenter:
        """Make the network; weights come from torch's global generator.

        Args:
            classes: K.
            channels: C, of the images.
        """

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters outside the backbone, for `ParameterGroups.multipliers`."""
        return ()


class DenseHead(Settings):
    """Segmentation head: layers from a feature map to logits."""

    width: Annotated[int, Field(ge=1)] | Literal["input"] | None = 256
    """D: channels of a convolution with normalisation and activation before the classifier; input: as many as come in;
    null: none."""
    hidden_kernel: Literal[1, 3] = 3
    """Side of that convolution."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability before the classifier."""
    dropout_of: Literal["values", "channels"] = "values"
    """values: plain dropout; channels: whole channels of an image (Dropout2d)."""
    kernel: Literal[1, 3] = 1
    """Side of the classifier's convolution."""
    bias: bool = True
    """Whether the classifier has a bias."""
    double: bool = False
    """Double the map's sides, by nearest values, and convolve it 3x3 to s s channels before the classifier."""
    upsample_at: Literal["after", "before_classifier", "before_head"] = "after"
    """Where logits are upsampled to the image's size: after the head, as a step that a loss or metric can leave out, or
    within it."""

    @model_validator(mode="after")
    def _fits_together(self) -> DenseHead:
        if self.double and self.upsample_at == "before_head":
            raise ValueError("double needs upsample_at=after or before_classifier")
        return self

    def build(self, inputs: int, classes: int, norm: str, upsampling: Upsampling, stride: int) -> DenseHeadModel:
        """Make the head of maps with `inputs` channels at stride `stride`."""
        return DenseHeadModel(self, (inputs, classes), norm, upsampling, stride)


class DenseHeadModel(nn.Module):
    """Segmentation head: convolution, dropout, classifier, with the upsampling where the settings have it.

    Args:
        settings: the variants.
        channels: C and K.
        norm: normalisation behind the first convolution.
        upsampling: how to enlarge.
        stride: s.
    """

    def __init__(
        self, settings: DenseHead, channels: tuple[int, int], norm: str, upsampling: Upsampling, stride: int
    ) -> None:
        super().__init__()
        inputs, classes = channels
        width = settings.width if isinstance(settings.width, int) else inputs
        self.hidden = (
            nn.Identity() if settings.width is None else ConvNormAct(inputs, width, settings.hidden_kernel, norm=norm)
        )
        self.dropout = (nn.Dropout if settings.dropout_of == "values" else nn.Dropout2d)(settings.dropout)
        self.doubled: nn.Module = nn.Identity()
        if settings.double:
            conv = ConvNormAct(width, stride * stride, norm=norm)
            self.doubled = nn.Sequential(nn.Upsample(scale_factor=2), conv)
            width, stride = stride * stride, stride // 2
        self.classifier = nn.Conv2d(width, classes, settings.kernel, padding=settings.kernel // 2, bias=settings.bias)
        self.where = settings.upsample_at
        enlarged = {"after": classes, "before_classifier": width, "before_head": inputs}[settings.upsample_at]
        self.enlarge = upsampling.build(enlarged, stride)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map [B, C, h, w] to logits of that size, or twice that, or of `size` = (H, W), as the settings have it."""
        if self.where == "before_head":
            x = self.enlarge(x, size)
        x = self.doubled(self.dropout(self.hidden(x)))
        if self.where == "before_classifier":
            x = self.enlarge(x, size)
        out: Tensor = self.classifier(x)
        return out

    @property
    def resize(self) -> Resize | None:
        """Return what `full_size` does, where it is an enlargement without weights, else None."""
        return self.enlarge if self.where == "after" and isinstance(self.enlarge, Resize) else None

    @property
    def plain(self) -> bool:
        """Tell whether `full_size` is what losses do by themselves: bilinear, corners not aligned; or nothing."""
        step = self.resize
        return self.where != "after" or (step is not None and (step.mode, step.corners) == ("bilinear", False))

    def full_size(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Enlarge what `forward` returned to [B, K, H, W]; nothing is done where the head has done it."""
        if self.where != "after":
            return logits
        out: Tensor = self.enlarge(logits, size)
        return out


class PlainHead(DenseHeadModel):
    """What losses and metrics ask of a head, for a network that has its own inside: logits are enlarged bilinearly."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.where = "after"
        self.enlarge = Resize("bilinear", corners=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Return what comes in."""
        return x


class AuxiliaryHead(Settings):
    """Auxiliary head, in training alone."""

    stride: Literal[4, 8, 16, 32] = 16
    """s of the map it sees; its logits are named `aux` and this number."""
    source: Literal["features", "refined", "merged"] = "features"
    """features: the backbone's map; refined: behind its gate; merged: what came to this stride from the one below."""
    head: DenseHead = DenseHead()
    """Its layers."""
    upsample: Upsampling | None = None
    """How its logits get to the image's size; null: as those of the main head."""


class Segmenter(nn.Module):
    """Base of segmenters. In training `forward` returns `logits`, one `aux<stride>` a further head, and `embedding` if
    there is a projection; else `logits` alone of these.

    Attributes:
        head: the main head.
        aux: further heads by name.
        embedded: the output of `forward` that a projection sees.
        least: smallest side of an image.
        projection: layers from that output to an embedding of pixels; None: there is no embedding.
    """

    head: DenseHeadModel
    aux: nn.ModuleDict
    embedded: str = "features"
    least: int = 1

    def __init__(self) -> None:
        super().__init__()
        self.projection: nn.Module | None = None

    def refuse_small(self, size: tuple[int, int]) -> None:
        """Refuse images of H x W that are smaller than the network can take.

        Raises:
            SettingsError: names the smallest size.
        """
        if min(size) < self.least:
            raise SettingsError(
                f"Images must be at least {self.least} pixels high and wide for this network",
                found=f"{size[0]}x{size[1]} (height x width)",
                do=f"set data.augment.crop.height and data.augment.crop.width to {self.least} or more, or enlarge them",
            )

    def full_size(self, outputs: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """Enlarge the logits of `forward` to the image's size.

        Args:
            outputs: what `forward` returned.
            size: H and W of the images that went in.

        Returns:
            `logits` and those `aux<stride>` that are there, each [B, K, H, W].
        """
        return {name: head.full_size(outputs[name], size) for name, head in self._heads(outputs)}

    def for_loss(self, outputs: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """Return the logits of `forward` as small as a loss may have them that enlarges bilinearly by itself.

        Args:
            outputs: what `forward` returned.
            size: H and W of the labels.

        Returns:
            `logits` and those `aux<stride>` that are there: as they are where their head enlarges in just that way,
            else [B, K, H, W].
        """
        return {
            name: outputs[name] if head.plain else head.full_size(outputs[name], size)
            for name, head in self._heads(outputs)
        }

    def _heads(self, outputs: Mapping[str, Tensor]) -> Iterator[tuple[str, DenseHeadModel]]:
        yield "logits", self.head
        for name, head in self.aux.items():
            if name in outputs:
                assert isinstance(head, DenseHeadModel)
                yield name, head

    def _add_for_training(
        self, outputs: dict[str, Tensor], sources: Mapping[str, Tensor], size: tuple[int, int]
    ) -> None:
        if self.training:
            for name, source in sources.items():
                if name in self.aux:
                    outputs[name] = self.aux[name](source, size)
            if self.projection is not None:
                outputs["embedding"] = self.projection(outputs[self.embedded])


Init = Literal["torch", "kaiming", "kaiming_relu", "kaiming_out"]
"""torch: as torch draws them. Else normal, of variance kaiming: 1 / fan-in; kaiming_relu: 2 / fan-in; kaiming_out:
2 / fan-out; and biases are 0."""


def init_weights(model: nn.Module, init: Init) -> None:
    """Draw the convolutions of a part.

    Args:
        model: the part; transposed convolutions are left as they are.
        init: from which distribution.
    """
    if init == "torch":
        return
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            # As the published code, torch's fan-out, which counts a grouped convolution as if it were not.
            mode: Literal["fan_in", "fan_out"] = "fan_out" if init == "kaiming_out" else "fan_in"
            nn.init.kaiming_normal_(module.weight, a=1 if init == "kaiming" else 0, mode=mode)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
