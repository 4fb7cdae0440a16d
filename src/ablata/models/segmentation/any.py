"""Segmentation networks as one union of settings: those of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.models.segmentation.base import SegmenterSettings
from ablata.models.segmentation.bisenet.model import BiSeNet

if TYPE_CHECKING:
    AnySegmenter = SegmenterSettings
else:
    AnySegmenter = Annotated[
        family(SegmenterSettings, BiSeNet, "ablata.models.segmentation"),
        OpenPart(
            SegmenterSettings,
            adapt="ablata.models.plain:segmenter",
            plain="an nn.Module class, or a function that returns a module",
        ),
    ]
