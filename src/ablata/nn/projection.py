"""Projection head: from a network's features to the embedding in which pixels are compared.

Letters: B images, C channels of the features, D width of the embedding, h x w the maps' size.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ablata.base.settings import Settings
from ablata.nn.conv_norm_act import ConvNormAct


class Projection(Settings):
    """Projection head; whoever uses the embedding scales it to unit length.

    Source: Wang et al. 2021, arXiv 2101.11939, section 3.4.
    """

    kind: Literal["projection"] = "projection"
    width: Annotated[int, Field(ge=2)] = 256
    """D."""
    form: Literal["two_layers", "linear"] = "two_layers"
    """two_layers: 1x1 of C channels, normalisation, ReLU, 1x1; linear: one 1x1."""

    def build(self, channels: int) -> nn.Sequential:
        """Make the layers [B, C, h, w] -> [B, D, h, w]."""
        hidden = [ConvNormAct(channels, channels, 1)] if self.form == "two_layers" else []
        return nn.Sequential(*hidden, nn.Conv2d(channels, self.width, 1))
