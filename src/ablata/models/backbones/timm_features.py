"""Any network of timm (github.com/huggingface/pytorch-image-models) as a backbone: its feature maps.

Shapes: B batch, C channels of the image, H and W its sides, Wn channels and sn stride of map n.

    input    [B, C, H, W]
    level1, level2, ...   [B, Wn, H/sn, W/sn]   stages from 1/4 on; in networks of one stride four layers spread evenly
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.models.backbones.base import Backbone, BackboneModule
from ablata.models.backbones.timm_names import refuse_unknown_network

_FINEST = 4
_OF_ONE_STRIDE = 4
_OTHER_SIZE = "must match the size of tensor"
"""What torch says where a network has positions for one size of images."""


class TimmFeatures(Backbone):
    """Backbone of timm: a network's feature maps, without its classifier."""

    FORMER_KINDS = ("timm_features",)
    kind: Literal["timm"] = "timm"
    name: str = Field(default="resnet18", min_length=1)
    """timm's name of the network, without a tag; `timm.list_models()` has them all."""
    image_size: Annotated[int, Field(ge=1)] | None = None
    """Side of the images, where the network takes one size only; null: it takes any, if it can."""
    levels: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    """Numbers of timm's maps, from 0; null: those from 1/4 on, or four evenly spread ones where all have one stride."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the images for which a branch is left out in training, as the network has it."""

    def refuse_unknown_names(self) -> None:
        """Refuse a network that timm does not have; see `Settings.refuse_unknown_names`."""
        refuse_unknown_network("model.backbone.name", self.name)

    def build_backbone(self, channels: int = 3) -> TimmMaps:
        """Make the network for images of `channels` channels; weights come from torch's global generator.

        Raises:
            SettingsError: timm has no such network, it has no such maps, or it takes none of these settings.
        """
        # timm takes a second to import, and few recipes need it.
        import timm

        self.refuse_unknown_names()
        network = self._create(timm, channels)
        reductions = [info["reduction"] for info in getattr(network, "feature_info", [])]
        if not hasattr(network, "forward_intermediates") or not reductions:
            raise SettingsError(
                "model.backbone.name must be a network that gives its maps",
                found=f"model.backbone.name={self.name}",
                do="choose another, such as model.backbone.name=resnet18",
            )
        levels = self.levels or _levels(reductions)
        if max(levels) >= len(reductions) or sorted(set(levels)) != list(levels):
            raise SettingsError(
                f"model.backbone.levels must be rising numbers from 0 to {len(reductions) - 1} for {self.name}",
                found=f"model.backbone.levels={list(levels)}",
                do="leave model.backbone.levels out, or give such numbers",
            )
        return TimmMaps(network, levels)

    def _create(self, timm: Any, channels: int) -> Any:
        given: dict[str, Any] = {"drop_path_rate": self.drop_path} if self.drop_path else {}
        if self.image_size is not None:
            given["img_size"] = self.image_size
        # Transformers take images of any size only when told so, and other networks do not know the word.
        attempts = [given] if self.image_size else [given | {"dynamic_img_size": True}, given]
        for number, arguments in enumerate(attempts, start=1):
            try:
                return timm.create_model(self.name, pretrained=False, num_classes=0, in_chans=channels, **arguments)
            except TypeError as error:
                if number == len(attempts):
                    raise SettingsError(
                        f"timm's {self.name} must take the settings", found=str(error), do="leave it as it was"
                    ) from None
        raise AssertionError

    def published_name(self, name: str) -> str | None:
        """Translate timm's name: the network is a part of ours."""
        return f"backbone.network.{name}"


class TimmMaps(BackboneModule):
    """A network of timm, cut behind the last feature map that is asked for.

    Args:
        network: as timm builds it, without a classifier.
        levels: numbers of its maps, rising.
    """

    def __init__(self, network: Any, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.indices = network, list(levels)
        info = network.feature_info
        self.widths = {f"level{number}": info[level]["num_chs"] for number, level in enumerate(levels, start=1)}
        self.strides = {f"level{number}": int(info[level]["reduction"]) for number, level in enumerate(levels, start=1)}
        if hasattr(network, "prune_intermediate_layers"):
            network.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named maps.

        Raises:
            SettingsError: the network does not take images of this size.
        """
        network: Any = self.network
        try:
            maps = network.forward_intermediates(
                images, indices=self.indices, intermediates_only=True, output_fmt="NCHW"
            )
        except (AssertionError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and _OTHER_SIZE not in str(error):
                raise
            size = getattr(getattr(network, "patch_embed", None), "img_size", None) or ("H", "W")
            raise SettingsError(
                "Images must have a size that the network takes",
                found=f"{images.shape[2]}x{images.shape[3]} (height x width): {error}",
                do=f"data.augment.crop.height={size[0]} data.augment.crop.width={size[1]} protocols=ssc "
                f"sliding_window.size={size[0]} trains on that size and scores in windows of it; or set "
                "model.backbone.image_size",
            ) from None
        return dict(zip(self.widths, maps, strict=True))


def _levels(reductions: list[int]) -> tuple[int, ...]:
    if len(set(reductions)) > 1:
        fine = [level for level, reduction in enumerate(reductions) if reduction >= _FINEST]
        return tuple(fine)
    count = len(reductions)
    spread = {count * part // _OF_ONE_STRIDE - 1 for part in range(1, _OF_ONE_STRIDE + 1)}
    return tuple(sorted(level for level in spread if level >= 0))
