"""Object-contextual representations: each pixel learns what the regions of the classes in its image look like.

Source: Yuan et al. 2020, arXiv 1909.11065, section 3.2; layers as in the authors' code (openseg).

Shapes: B batch, C channels of the features, D width, E width of keys, K classes, h x w the maps' size.

    features   [B, C, h, w]      regions  [B, K, D]       context  [B, D, h, w]
    pixels     [B, D, h, w]      rough    [B, K, h, w]    result   [B, D, h, w]
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.nn.conv_norm_act import ConvNormAct


class ObjectContext(Settings):
    """Context by the regions of rough logits, which a head of its own is trained for."""

    kind: Literal["object_context"] = "object_context"
    width: Annotated[int, Field(ge=1)] = 512
    """D: channels of pixels and of the result."""
    keys: Annotated[int, Field(ge=1)] = 256
    """E: channels in which pixels and regions are compared."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Share of the result's channels that is dropped in training."""

    def build(self, channels: int) -> ObjectContextModule:
        """Make the layers for features of `channels` channels."""
        return ObjectContextModule(self, channels)


class ObjectContextModule(nn.Module):
    """Pixels, regions, attention of the pixels to the regions, and both joined.

    Args:
        settings: widths and dropout.
        channels: C.
    """

    def __init__(self, settings: ObjectContext, channels: int) -> None:
        super().__init__()
        width, keys = settings.width, settings.keys
        self.pixels = ConvNormAct(channels, width)
        self.query = nn.Sequential(ConvNormAct(width, keys, 1), ConvNormAct(keys, keys, 1))
        self.key = nn.Sequential(ConvNormAct(width, keys, 1), ConvNormAct(keys, keys, 1))
        self.value = ConvNormAct(width, keys, 1)
        self.context = ConvNormAct(keys, width, 1)
        self.join = ConvNormAct(2 * width, width, 1)
        self.dropout = nn.Dropout2d(settings.dropout)
        self.scale = keys**-0.5

    def forward(self, features: Tensor, rough: Tensor) -> Tensor:
        """Return the result for features and rough logits of one size."""
        pixels = self.pixels(features)
        regions = gather_regions(pixels, rough)
        # Regions as a map of K x 1 places, so that they go through the same kinds of layers.
        places = regions.transpose(1, 2).unsqueeze(3)
        query, key, value = (self.query(pixels).flatten(2), self.key(places).flatten(2), self.value(places).flatten(2))
        attention = (query.transpose(1, 2) @ key * self.scale).softmax(2)
        seen = (value @ attention.transpose(1, 2)).unflatten(2, pixels.shape[2:])
        out: Tensor = self.dropout(self.join(torch.cat((self.context(seen), pixels), 1)))
        return out


def gather_regions(pixels: Tensor, rough: Tensor) -> Tensor:
    """Return each class's mean pixel [B, K, D], weighted by a softmax of its rough logits over the image."""
    shares = rough.flatten(2).softmax(2).to(pixels.dtype)
    out: Tensor = shares @ pixels.flatten(2).transpose(1, 2)
    return out
