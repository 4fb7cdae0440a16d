"""The convolution by patches is torch's convolution."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ablata.nn.kernels.im2col_conv import PatchConv2d, weight_gradient


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pair(inputs: int, outputs: int) -> tuple[PatchConv2d, nn.Conv2d]:
    ours, theirs = PatchConv2d(inputs, outputs), nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def inputs(channels: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, channels, height, width, generator=generator, dtype=dtype).requires_grad_()


def test_values_and_gradients_are_those_of_torchs_convolution(subtests: pytest.Subtests) -> None:
    for size, layout in itertools.product(
        [(3, 3), (7, 5), (1, 8), (9, 9)], [torch.contiguous_format, torch.channels_last]
    ):
        with subtests.test(layout=layout, size=size):
            ours, theirs = (conv.double().to(memory_format=layout) for conv in pair(4, 6))
            found, expected = [], []
            for conv, results in ((ours, found), (theirs, expected)):
                x = inputs(4, *size)
                out = conv(x.to(memory_format=layout))
                out.square().sum().backward()
                results += [out, x.grad, conv.weight.grad]
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other)


def test_gradients_agree_with_finite_differences() -> None:
    ours, _ = pair(2, 3)
    assert torch.autograd.gradcheck(ours.double(), (inputs(2, 4, 3),))


def test_under_autocast_it_computes_in_bf16_and_gives_fp32_gradients() -> None:
    ours, theirs = pair(8, 8)
    for conv in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16):
            out = conv(inputs(8, 5, 5, torch.float32))
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
    assert ours.weight.grad.dtype == torch.float32
    torch.testing.assert_close(
        ours.weight.grad, theirs.weight.grad, rtol=0.02, atol=0.02 * ours.weight.grad.abs().max()
    )


def test_a_frozen_weight_gets_no_gradient_and_hands_one_on() -> None:
    ours, _ = pair(2, 2)
    ours.weight.requires_grad_(False)
    x = inputs(2, 4, 4, torch.float32)
    ours(x).sum().backward()
    assert ours.weight.grad is None
    assert x.grad.any()


def test_the_weight_gradient_of_a_single_pixel_is_its_patch() -> None:
    x, gradient = inputs(2, 5, 5).detach(), torch.zeros(3, 1, 5, 5, dtype=torch.float64)
    gradient[1, 0, 2, 3] = 1
    torch.testing.assert_close(weight_gradient(x, gradient)[0], x[1, :, 1:4, 2:5])
