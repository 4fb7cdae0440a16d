"""Decoders of segmentation_models_pytorch (github.com/qubvel-org/segmentation_models.pytorch) on its encoders.

U-Net: Ronneberger et al. 2015, arXiv 1505.04597; FPN: Kirillov et al. 2019, arXiv 1901.02446; DeepLabV3+: Chen et al.
2018, arXiv 1802.02611; SegFormer: Xie et al. 2021, arXiv 2105.15203; UPerNet: Xiao et al. 2018, arXiv 1807.10221; DPT:
Ranftl et al. 2021, arXiv 2103.13413. The networks are the library's own, an extra: `pip install 'ablata[smp]'`.

Shapes: B batch, C channels of the image, H and W its sides, D channels and s stride of the decoder's map, K classes.

    input    [B, C, H, W]   a side that the encoder's stride does not divide is padded with 0, and cut again
    features [B, D, H/s, W/s]         logits   [B, K, H, W]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ablata.base.errors import SettingsError, suggestion
from ablata.base.settings import ON_DISK
from ablata.models.backbones.weights import Loadable
from ablata.models.segmentation.base import PlainHead, Segmenter, SegmenterSettings
from ablata.nn.single_values import SingleValueError

_CLASSES = {
    "unet": "Unet",
    "fpn": "FPN",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
    "upernet": "UPerNet",
    "dpt": "DPT",
}
_TIMM = "tu-"
"""How the library's names of timm's networks begin."""


class Smp(SegmenterSettings):
    """Decoder and encoder of segmentation_models_pytorch."""

    kind: Literal["smp"] = "smp"
    decoder: Literal["unet", "fpn", "deeplabv3plus", "segformer", "upernet", "dpt"] = "unet"
    """Which decoder; dpt stands on vision transformers, such as encoder=tu-vit_small_patch16_224."""
    encoder: Annotated[str, Field(min_length=1)] = "resnet34"
    """The library's name of the encoder; tu-NAME is timm's network NAME."""
    encoder_depth: Annotated[int, Field(ge=3, le=5)] | None = None
    """Stages of the encoder; null: the decoder's default."""
    encoder_weights: Annotated[str | None, ON_DISK] = None
    """File of weights of the encoder, or a name of `ablata weights list`; null: drawn anew. `weights` is of the whole
    network."""

    def build(self, classes: int, channels: int = 3) -> SmpModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator.

        Raises:
            SettingsError: the library is not installed, has no such encoder, or the decoder does not stand on it.
        """
        library = _library()
        self.refuse_unknown_names()
        given: dict[str, Any] = {} if self.encoder_depth is None else {"encoder_depth": self.encoder_depth}
        if self.decoder == "dpt":
            # Vision transformers take images of any size only when told so.
            given["dynamic_img_size"] = True
        try:
            network = getattr(library, _CLASSES[self.decoder])(
                encoder_name=self.encoder, encoder_weights=None, in_channels=channels, classes=classes, **given
            )
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise SettingsError(
                "model.decoder must stand on model.encoder",
                found=f"{self.decoder} on {self.encoder}: {str(error).strip()[:200]}",
                do="dpt needs a vision transformer of timm, such as model.encoder=tu-vit_small_patch16_224; the others "
                "stand on networks of stages, such as model.encoder=resnet34",
            ) from None
        # DPT halves its deepest map once more.
        return SmpModel(network, 2 if self.decoder == "dpt" else 1)

    def refuse_unknown_names(self) -> None:
        """Refuse an encoder that the library does not have; see `Settings.refuse_unknown_names`."""
        import timm

        library = _library()
        known = self.encoder in library.encoders.encoders
        if not known and not (self.encoder.startswith(_TIMM) and timm.is_model(self.encoder.removeprefix(_TIMM))):
            names = [*library.encoders.encoders, *(f"{_TIMM}{name}" for name in timm.list_models())]
            raise SettingsError(
                f"model.encoder must be an encoder of segmentation_models_pytorch, or {_TIMM}NAME of timm",
                found=f"model.encoder={self.encoder}",
                do=suggestion(self.encoder, names, f"such as resnet34, mit_b0, {_TIMM}mobilenetv2_100", most=5),
            )

    def published_name(self, name: str) -> str | None:
        """Translate the library's name: the network is a part of ours."""
        return f"network.{name}"

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor belongs to the encoder."""
        return name.startswith("network.encoder.")

    def weight_files(self) -> tuple[str, ...]:
        """Return the files that `load_into` reads."""
        return super().weight_files() + (() if self.encoder_weights is None else (self.encoder_weights,))

    def load_into(self, model: nn.Module) -> None:
        """Load the whole network's weights, or the encoder's; see `Loadable.load_into`."""
        super().load_into(model)
        assert isinstance(model, SmpModel)
        if self.encoder_weights is not None:
            name = self.encoder.removeprefix(_TIMM) if self.encoder.startswith(_TIMM) else None
            _Encoder(weights=self.encoder_weights, name=name).load_into(model.network.encoder)

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters outside the encoder."""
        return ("network.decoder.*", "network.segmentation_head.*")


class _Encoder(Loadable):
    """An encoder's own weights; not a choice."""

    kind: str = "encoder of smp"
    name: str | None
    """timm's name of the network; null: it is the library's own."""

    def published_name(self, name: str) -> str | None:
        """Translate timm's name: the network is a part of the encoder."""
        return name if self.name is None else f"model.{name}"

    def is_of_backbone(self, name: str, model: nn.Module) -> bool:
        """Tell whether a tensor belongs to the encoder: all do."""
        return True


class SmpModel(Segmenter):
    """A network of the library with named outputs.

    Args:
        network: as the library builds it.
        halved: by how much the decoder makes the encoder's deepest map smaller.
    """

    def __init__(self, network: Any, halved: int = 1) -> None:
        super().__init__()
        self.network = network
        self.head, self.aux = PlainHead(), nn.ModuleDict()
        self.multiple = halved * int(network.encoder.output_stride) if network.requires_divisible_input_shape else 1

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: the network does not take images of this size, or, in training, one image.
        """
        height, width = images.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        padded = functional.pad(images, (0, right, 0, below)) if below or right else images
        network: Any = self.network
        try:
            features = network.decoder(*self._encoded(padded))
            logits = network.segmentation_head(features)
        except (AssertionError, ValueError, RuntimeError) as error:
            raise _refused(error, images) from None
        outputs = {"features": _cut(features, (height, width), padded.shape[2:])}
        outputs["logits"] = logits[:, :, :height, :width]
        self._add_for_training(outputs, {}, (height, width))
        return outputs

    def _encoded(self, images: Tensor) -> tuple[Any, ...]:
        """Return what the decoder takes: the encoder's maps, and those of a vision transformer with its tokens."""
        network: Any = self.network
        found = network.encoder(images)
        return tuple(found) if isinstance(found, tuple) else (found,)


def _cut(maps: Tensor, shown: Sequence[int], padded: Sequence[int]) -> Tensor:
    """Return the part of maps of a padded image that shows the image; in whole numbers, which exporters can trace."""
    rows, columns = (
        max(1, (2 * side * image + whole) // (2 * whole))
        for side, image, whole in zip(maps.shape[2:], shown, padded, strict=True)
    )
    return maps[:, :, :rows, :columns]


def _refused(error: Exception, images: Tensor) -> Exception:
    """Return what is told where the network does not take images; other errors as they are."""
    told, size = str(error), f"{images.shape[2]}x{images.shape[3]} (height x width)"
    if "more than 1 value per channel" in told:
        return SingleValueError(
            "Batch normalisation behind a mean over the image needs two images a batch in training",
            found=f"{len(images)} of {size}",
            do="take a larger batch",
        )
    if isinstance(error, AssertionError) or "must match the size of tensor" in told:
        return SettingsError(
            "Images must have a size that the network takes",
            found=f"{size}: {told}",
            do="crop and score at the network's own size (data.augment.crop, sliding_window.size), or take another "
            "model.encoder",
        )
    return error


def _library() -> Any:
    try:
        # It takes a second to import, and few recipes need it.
        import segmentation_models_pytorch
    except ImportError:
        raise SettingsError(
            "model=smp needs segmentation_models_pytorch", found="it is not installed", do="pip install 'ablata[smp]'"
        ) from None
    return segmentation_models_pytorch
