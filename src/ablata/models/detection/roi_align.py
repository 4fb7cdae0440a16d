"""RoIAlign (He et al. 2017, section 3) over the levels of a pyramid.

The same numbers as torchvision's MultiScaleRoIAlign, which on a processor works on one core, map by map and value by
value. Every value of a cut-out is a fixed sum over cells of the maps; on a processor all cut-outs are therefore one
product of a sparse matrix with the maps, cell by cell with all channels together, and so is the way back. Elsewhere
torchvision's own operation does it.

Shapes: B images, N regions of all of them, P side of a cut-out, S samples along each side of its cells, M cells of
all maps of the batch, C channels, E = 4 S^2 cells of the maps that a cell of a cut-out is summed from.

    maps  [B, C, Hl, Wl]     rows [M, C]     cut-outs [N, C, P, P]     cells, weights [N P^2, E]
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign

_LARGEST_OF_LEVEL_4 = 224
"""Side of the regions that are cut from a map of stride 16 (Lin et al. 2017, equation 1)."""
_EPS = 1e-6


class MultiLevelRoiAlign(nn.Module):
    """Multi-level RoIAlign: each region is pooled from the level that fits its size.

    Args:
        levels: how many maps there are, the finest first.
        side: P.
        samples: S.
    """

    def __init__(self, levels: int, side: int, samples: int) -> None:
        super().__init__()
        self.side, self.samples = side, samples
        self.names = [str(level) for level in range(levels)]
        self.elsewhere = MultiScaleRoIAlign(self.names, side, sampling_ratio=samples)

    def forward(self, maps: list[Tensor], boxes: list[Tensor], canvas: tuple[int, int]) -> Tensor:
        """Return the cut-outs.

        Args:
            maps: at least as many as there are levels; the others are not looked at.
            boxes: float [n, 4] of each image, in pixels of the batch.
            canvas: height and width of the batch.
        """
        maps = maps[: len(self.names)]
        if maps[0].device.type != "cpu":
            cut: Tensor = self.elsewhere(dict(zip(self.names, maps, strict=True)), boxes, [canvas] * len(boxes))
            return cut
        cells, weights = self._cells([feature_map.shape[-2:] for feature_map in maps], boxes, canvas)
        rows = torch.cat([feature_map.permute(0, 2, 3, 1).flatten(0, 2) for feature_map in maps])
        summed: Any = _WeightedRowSum.apply(rows, cells, weights)
        found: Tensor = summed.view(-1, self.side, self.side, rows.shape[1]).permute(0, 3, 1, 2)
        return found

    def _cells(self, sizes: list[torch.Size], boxes: list[Tensor], canvas: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return which cells each cell of a cut-out is summed from, int64 [N P^2, E], and by what weights, float32."""
        every = torch.cat(boxes).float()
        image = torch.repeat_interleave(
            torch.arange(len(boxes)), torch.tensor([len(image_boxes) for image_boxes in boxes])
        )
        strides = [2 ** round(math.log2(canvas[0] / height)) for height, _ in sizes]
        level = _levels(every, strides)
        high, wide = (torch.tensor([size[side] for size in sizes])[level] for side in (0, 1))
        cells = [height * width for height, width in sizes]
        before = torch.tensor([len(boxes) * sum(cells[:number]) for number in range(len(cells))])[level]
        first = before + image * torch.tensor(cells)[level]
        scaled = every / torch.tensor(strides)[level][:, None]
        columns, across = self._along(scaled[:, 0], scaled[:, 2], wide)
        lines, down = self._along(scaled[:, 1], scaled[:, 3], high)
        lines = first[:, None, None] + lines * wide[:, None, None]
        index = lines[:, :, None, :, None] + columns[:, None, :, None, :]
        weight = down[:, :, None, :, None] * across[:, None, :, None, :]
        most = 4 * self.samples**2
        return index.reshape(-1, most), weight.reshape(-1, most) / self.samples**2

    def _along(self, low: Tensor, high: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cells along one side that are read, int64 [N, P, 2 S], and their weights, float32.

        Args:
            low: where the regions begin, in cells, float [N].
            high: where they end.
            size: cells of each region's map, int64 [N].
        """
        steps = (torch.arange(self.side * self.samples) + 0.5) / self.samples
        place = low[:, None] + steps * ((high - low).clamp(min=1) / self.side)[:, None]
        last = (size - 1)[:, None]
        inside = (place >= -1) & (place <= size[:, None])
        place = place.clamp(min=0).minimum(last)
        below = place.long()
        fraction = place - below
        cells = torch.stack([below, (below + 1).minimum(last)], dim=-1)
        weights = torch.stack([1 - fraction, fraction], dim=-1) * inside[..., None]
        shape = (len(low), self.side, 2 * self.samples)
        return cells.view(shape), weights.view(shape)


class _WeightedRowSum(torch.autograd.Function):
    """Sums of rows, [N P^2, C]; only the rows have a gradient."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, cells: Tensor, weights: Tensor) -> Tensor:
        """Return for each line of `cells` the weighted sum of those rows."""
        ctx.save_for_backward(cells, weights)
        ctx.count = len(rows)
        return F.embedding_bag(cells, rows.contiguous(), mode="sum", per_sample_weights=weights.to(rows.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the rows: the same sums, gathered by row."""
        cells, weights = ctx.saved_tensors
        (gradient,) = gradients
        ordered, order = cells.flatten().sort()
        starts = torch.searchsorted(ordered, torch.arange(ctx.count))
        found = F.embedding_bag(
            order // cells.shape[1],
            gradient.contiguous(),
            starts,
            mode="sum",
            per_sample_weights=weights.flatten()[order].to(gradient.dtype),
        )
        return found, None, None


def _levels(boxes: Tensor, strides: list[int]) -> Tensor:
    """Return which map each box is cut out of, int64 [N]: equation 1 of Lin et al. 2017."""
    finest, coarsest = (int(math.log2(stride)) for stride in (strides[0], strides[-1]))
    side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    level = (4 + (side / _LARGEST_OF_LEVEL_4).log2() + _EPS).floor()
    return level.clamp(finest, coarsest).long() - finest
