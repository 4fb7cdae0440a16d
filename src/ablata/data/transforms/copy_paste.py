"""Copy-paste of objects with masks from one image onto another (Ghiasi et al. 2021, arXiv 2012.07177).

torchvision keeps its version among its references, not in the library, and draws from the global generator. As there,
a random subset is pasted without blending (the paper found none needed); boxes of objects that are covered in part are
drawn anew around what remains visible.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings
from ablata.data.transforms.object_geometry import cut, moved, together, without_hidden
from ablata.structures.detection import Objects


class CopyPaste(Settings):
    """Copy-paste: paste some of another training image's objects over each training image. Needs masks."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the training images onto which objects are pasted."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the other image's objects that are pasted, each by chance."""
    until_epoch: Annotated[int, Field(ge=0)] | None = None
    """First epoch (counted from 0) without; null: to the end."""

    def apply(
        self,
        pixels: np.ndarray,
        objects: Objects,
        source: tuple[np.ndarray, Objects],
        random: np.random.Generator,
        min_visible: float,
    ) -> tuple[np.ndarray, Objects]:
        """Return an image with objects of another one pasted over it.

        Args:
            pixels: uint8 [H, W, C].
            objects: what is on it; masks bool [N, H, W].
            source: pixels and objects of the other image, whose ignored regions stay behind.
            random: places the other image, and chooses among its objects.
            min_visible: fraction of an object, in 0..1, of which less is ignored.
        """
        height, width = pixels.shape[:2]
        draws = random.random(2)
        above, theirs = _laid(source, (height, width), (float(draws[0]), float(draws[1])), min_visible)
        chosen = theirs.at(torch.from_numpy(random.random(len(theirs)) < self.fraction))
        if not len(chosen):
            return pixels, objects
        assert isinstance(chosen.masks, Tensor)
        assert isinstance(objects.masks, Tensor)
        pasted = chosen.masks.any(0)
        masks = objects.masks & ~pasted
        visible = Objects(objects.boxes, objects.labels, masks, objects.ids, objects.crowd, objects.ignored)
        beneath = without_hidden(visible, objects.masks.sum((1, 2)), masks.sum((1, 2)), min_visible)
        drawn = np.where(pasted.numpy()[..., None], above, pixels)
        return drawn, together([beneath, Objects(chosen.boxes, chosen.labels, chosen.masks, chosen.ids, chosen.crowd)])


def _laid(
    source: tuple[np.ndarray, Objects], size: tuple[int, int], draws: tuple[float, float], min_visible: float
) -> tuple[np.ndarray, Objects]:
    """Return an image cut, or put on black, to another one's height and width at a random place."""
    pixels, objects = source
    first = [int(draw * (abs(have - want) + 1)) for draw, have, want in zip(draws, pixels.shape, size, strict=False)]
    top, left = (place if have > want else 0 for place, have, want in zip(first, pixels.shape, size, strict=False))
    part, objects = cut(pixels, objects, top, left, *size, min_visible)
    down, right = (place if have < want else 0 for place, have, want in zip(first, pixels.shape, size, strict=False))
    canvas = np.zeros((*size, 3), dtype=np.uint8)
    canvas[down : down + part.shape[0], right : right + part.shape[1]] = part
    return canvas, moved(objects, down, right, *size)
