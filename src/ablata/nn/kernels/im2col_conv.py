"""im2col convolution, 3x3: its weight gradient is one matrix product where that is faster (small images, CPU).

oneDNN's kernel for the weight gradient of small images has its threads wait for each other in a busy loop. Beside
other load, a thread that waits for one that was put aside burns its whole time slice: steps were seen to take ten
times as long. On a quiet machine the product takes about half the time (7 x 7 pixels, 512 channels, bf16; 16 beside
29 ms), or a fifth (3 x 3); in fp32 it is as fast, or twice as fast.

Shapes: B batch, C channels before, D channels after, H and W height and width of the image.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SMALL = 7
"""Largest side of an image, in pixels, for which patches are cut out: the matrix has nine times the image's size."""


class PatchConv2d(nn.Conv2d):
    """`nn.Conv2d` with a 3x3 kernel, stride 1, padding 1 and no bias: the same values, gradients equal up to rounding.

    Args:
        inputs: C.
        outputs: D.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, D, H, W]."""
        if x.device.type != "cpu" or not torch.is_grad_enabled() or max(x.shape[-2:]) > _SMALL:
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        out: Tensor = _PatchConvolution.apply(x, weight)
        return out


class _PatchConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        for_x, for_weight = ctx.needs_input_grad
        ones, zeros = [1, 1], [0, 0]
        needed = [for_x, False, False]
        backward = torch.ops.aten.convolution_backward
        for_input = backward(gradient, x, weight, None, ones, ones, ones, False, zeros, 1, needed)[0] if for_x else None
        return for_input, weight_gradient(x, gradient) if for_weight else None


def weight_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of the weights of a 3x3 convolution with stride 1 and padding 1.

    Args:
        x: [B, C, H, W], what was convolved.
        gradient: [B, D, H, W], of the result.

    Returns:
        [D, C, 3, 3], in the type of `x`.
    """
    batch, channels, height, width = x.shape
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    image, row, column, _ = padded.stride()
    taps = padded.as_strided((batch, height, width, 3, 3, channels), (image, row, column, row, column, 1))
    patches = taps.reshape(batch * height * width, 9 * channels)
    rows = gradient.permute(0, 2, 3, 1).reshape(batch * height * width, -1)
    return (rows.T @ patches).view(-1, 3, 3, channels).permute(0, 3, 1, 2)
