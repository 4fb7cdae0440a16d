"""Base of object detectors: settings, the network's interface, detections of an image.

Shapes: B images, H and W of the batch, N detections of an image, M side of a box's mask, K classes,
C channels of the image.

    images  [B, C, H, W]     boxes [N, 4]     labels [N] in [0, K)     scores [N]     masks [N, M, M] or [N, H, W]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ablata.base.settings import Settings
from ablata.structures.detection import Objects


class DetectorSettings(Settings):
    """Base of the settings of object detectors; not itself a choice."""

    raw_images: ClassVar[bool] = False
    """Whether images come with values in 0..1, since the network normalizes them itself."""
    counted_on: ClassVar[str] = "meta"
    """Device on which its operations are counted: cpu where they depend on values."""
    max_detections: Annotated[int, Field(ge=1)] = 100
    """Largest number of detections of an image."""

    @abstractmethod
    def build(self, classes: int, graph: Tensor | None = None, in_channels: int = 3) -> Detector:
        """Make the detector; weights come from torch's global generator.

        Args:
            classes: K, without the background.
            graph: float [K + 1, K + 1], for relations between classes; None: there is none.
            in_channels: C, of the images.
        """

    @abstractmethod
    def predicts_masks(self) -> bool:
        """Tell whether it is trained with masks of objects, and predicts such."""

    def relates_classes(self) -> bool:
        """Tell whether it uses the class graph."""
        return False

    def silent_terms(self) -> set[str]:
        """Return the names of loss terms whose weight is 0."""
        return set()

    def weight_files(self) -> tuple[str, ...]:
        """Return the files of weights that it begins with, or their names; here none."""
        return ()

    def without_weights(self) -> Self:
        """Return it without its file of weights, which need not be here any more once it was trained."""
        return self

    def reduced(self) -> Self:
        """Return it as small as it still learns on a few generated images."""
        return self


class Detector(nn.Module, ABC):
    """Base of object detectors."""

    @abstractmethod
    def forward(
        self,
        images: Tensor,
        sizes: list[tuple[int, int]] | None = None,
        objects: tuple[Objects, ...] | None = None,
        most: int | None = None,
    ) -> dict[str, Tensor] | list[ImageDetections] | tuple[Tensor, ...]:
        """Return the loss terms where there is a truth, else each image's detections.

        Args:
            images: float [B, C, H, W], an image at the upper left, 0 beside it.
            sizes: height and width of each image in the batch; None: all of it.
            objects: the truth, in training; masks bool.
            most: boxes that are proposed in testing; None: as the settings say.
        """

    @abstractmethod
    def signature(self, images: Tensor) -> Tensor:
        """Return an output, at least one number, by which an export is compared with its network."""

    def check(self, images: Tensor, sizes: list[tuple[int, int]]) -> None:
        """Refuse what its outputs lack before the first step; here nothing.

        Args:
            images: as of `forward`, at least one.
            sizes: likewise.

        Raises:
            SettingsError: names what must be returned, and what was.
        """


@dataclass(frozen=True)
class ImageDetections:
    """Detections of an image in pixels of the batch, the surest first.

    Attributes:
        boxes: float [N, 4].
        labels: int64 [N], in [0, K).
        scores: float [N].
        masks: float [N, M, M], how likely each cell of a box belongs to the object; None: no masks.
        regions: int64 [N], which of the last stage's regions each was made from; None: not known.
        whole_image: whether `masks` are [N, H, W], over the whole image and not over its box.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: Tensor | None
    regions: Tensor | None = None
    whole_image: bool = False

    def masks_at(self, boxes: Tensor, height: int, width: int) -> Iterator[Tensor]:
        """Yield the mask of each detection, bool [height, width], where the image is resized to that size.

        Args:
            boxes: float [N, 4], those of the detections in the resized image.
            height: of the resized image.
            width: likewise.
        """
        for mask, box in zip([] if self.masks is None else self.masks, boxes, strict=True):
            if self.whole_image:
                yield functional.interpolate(mask[None, None].float(), (height, width), mode="bilinear")[0, 0] >= 0.5
            else:
                yield paste_masks(mask[None], box[None], height, width)[0]


def paste_masks(masks: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Paste the masks of boxes into their image.

    Args:
        masks: float [N, M, M], in 0..1, each over its box.
        boxes: float [N, 4], in pixels of the image.
        height: of the image.
        width: of the image.

    Returns:
        bool [N, height, width]: where a mask is at least one half.
    """
    rows = torch.arange(height, device=boxes.device) + 0.5
    columns = torch.arange(width, device=boxes.device) + 0.5
    low, size = boxes[:, :2], (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
    x = (columns - low[:, :1]) / size[:, :1] * 2 - 1
    y = (rows - low[:, 1:]) / size[:, 1:] * 2 - 1
    result = torch.zeros(len(masks), height, width, dtype=torch.bool, device=boxes.device)
    # Beyond its box a mask is less than one half everywhere.
    for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
        across = slice(max(0, math.floor(left)), max(0, min(width, math.ceil(right))))
        down = slice(max(0, math.floor(top)), max(0, min(height, math.ceil(bottom))))
        grid = torch.stack(torch.meshgrid(x[number, across], y[number, down], indexing="xy"), dim=-1)
        if grid.numel():
            values = functional.grid_sample(masks[number][None, None].float(), grid[None], align_corners=False)
            result[number, down, across] = values[0, 0] >= 0.5
    return result


class DetectionBackbone(Settings):
    """Base of the settings of detectors' backbones; not itself a choice."""

    has_tail: ClassVar[bool] = False
    """Whether its last stage works on each region by itself, as in C4."""

    @abstractmethod
    def build(self, in_channels: int = 3) -> DetectionBackboneModule:
        """Make the backbone for images of C channels; weights come from torch's global generator, or from
        `weight_files`."""

    def weight_files(self) -> tuple[str, ...]:
        """Return the files of weights that the backbone begins with, or their names; here none."""
        return ()

    def without_weights(self) -> DetectionBackbone:
        """Return the backbone without its file of weights, which need not be here any more once it was trained."""
        return self

    def untrained(self) -> DetectionBackbone:
        """Return the backbone without weights and with nothing frozen, which makes no sense without them."""
        return self.without_weights()


class DetectionBackboneModule(nn.Module):
    """Base of detectors' backbones: maps images [B, C, H, W] to a list of feature maps, the finest first.

    Attributes:
        channels: of every level.
        levels: number of feature maps.
        tail: layers that regions of the last map go through one by one (C4); None: there are none.
        tail_channels: channels behind them.
    """

    channels: int
    levels: int
    tail: nn.Module | None
    tail_channels: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.tail = None
