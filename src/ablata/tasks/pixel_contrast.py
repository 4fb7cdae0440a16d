"""A contrast of pixels inside a segmentation: its projection, its memory, and how far the training is."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from ablata.engine.task import Site
from ablata.losses.pixel_contrast import PixelContrast
from ablata.nn.segmenter import Segmenter


class ContrastTerm:
    """The contrast of one training.

    Args:
        settings: the recipe's loss.
        model: gets the projection; its names do not change.
        classes: number of classes.
        ignore: label of pixels that do not count.
        example: a picture [1, C, H, W] of the size that is trained on.
        site: device and share of the work; vectors of all processes enter the memory of each.
    """

    def __init__(
        self, settings: PixelContrast, model: Segmenter, classes: int, ignore: int, example: Tensor, site: Site
    ) -> None:
        model.projection = settings.projection.build(embedded_width(model, example))
        self.loss = settings.build_contrast(classes, ignore, site.device, site.distribution.joined)
        self._done = 0.0

    def at(self, done: float) -> None:
        """Note which part of the training is over, in [0, 1)."""
        self._done = done

    def __call__(self, outputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Return the weighted contrast of a batch, a scalar; `labels` int64 [B, H, W]."""
        return self.loss(outputs["embedding"], outputs["logits"], labels, self._done)

    def state(self) -> Mapping[str, Tensor]:
        """Return the memory's content."""
        return self.loss.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take the memory's content back."""
        self.loss.load_state(state)


def embedded_width(model: Segmenter, example: Tensor) -> int:
    """Return the channels of what a projection sees; nothing is computed but shapes."""
    ghost = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad():
        seen: Tensor = ghost(example.to("meta"))[model.embedded]
    return seen.shape[1]
