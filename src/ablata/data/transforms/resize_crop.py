"""Resize and crop for sets in memory: every image is enlarged once, and training crops come from the larger ones."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings
from ablata.data.io.crop import Backend, Interpolation, backend_name, resize, torch_resize

_BLOCK = 1024


class ResizeCrop(Settings):
    """Resize and random crop: a crop of the old size is cut from resized images at a random place."""

    kind: Literal["resize_crop"] = "resize_crop"
    side: Annotated[int, Field(ge=1)] = 40
    """Pixels of the shorter side afterwards; at least those of the image itself."""
    backend: Backend = "torch"
    """What resizes: torch, pil or opencv. Recorded with every checkpoint."""
    interpolation: Interpolation = "bilinear"
    """Filter of resizing; OpenCV's bicubic has another constant (-0.75) than that of PIL and torch (-0.5)."""
    evaluation: bool = False
    """Enlarge the images that are scored too, and cut their middle. Without it a network is scored on smaller things
    than it was trained on."""

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and the width of enlarged images."""
        scale = self.side / min(height, width)
        return max(self.side, round(height * scale)), max(self.side, round(width * scale))

    def apply(self, images: Tensor) -> Tensor:
        """Enlarge uint8 [n, C, H, W], on the processor, to uint8 [n, C, h, w] with h, w as in `size`."""
        size = self.size(*images.shape[-2:])
        enlarge = self._by_torch if self.backend == "torch" else self._one_by_one
        return torch.cat([enlarge(images[start : start + _BLOCK], size) for start in range(0, len(images), _BLOCK)])

    def backend_name(self) -> str:
        """Name what resizes, with its version and filter."""
        return backend_name(self.backend, self.interpolation)

    def _by_torch(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        return torch_resize(images, size, self.interpolation)

    def _one_by_one(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        planes = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).contiguous().numpy()
        resized = np.stack([resize(plane, size, self.backend, self.interpolation) for plane in planes])
        return torch.from_numpy(resized).permute(0, 3, 1, 2)[:, : images.shape[1]].contiguous()


def center_crop(images: Tensor, height: int, width: int) -> Tensor:
    """Center crop of images [n, C, h, w] to [n, C, height, width]."""
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[:, :, top : top + height, left : left + width].contiguous()
