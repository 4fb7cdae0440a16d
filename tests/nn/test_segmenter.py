"""Heads over maps: where the picture's size comes, and how weights are drawn."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ablata.nn.segmenter import DenseHead, Init, draw
from ablata.nn.upsampling import Bilinear, Nearest


def test_logits_have_the_maps_size_until_the_step_that_enlarges_them() -> None:
    head, x = DenseHead(width=8).build(4, 5, "batch", Bilinear(), 8), torch.randn(2, 4, 3, 4)
    logits = head(x, (24, 32))
    assert logits.shape == (2, 5, 3, 4)
    expected = F.interpolate(logits, (24, 32), mode="bilinear", align_corners=False)
    assert torch.equal(head.full_size(logits, (24, 32)), expected)


@pytest.mark.parametrize("where", ["before_classifier", "before_head"])
def test_a_head_that_enlarges_inside_leaves_nothing_to_do(where: Literal["before_classifier", "before_head"]) -> None:
    head, x = DenseHead(width=8, enlarge=where).build(4, 5, "batch", Bilinear(), 8), torch.randn(2, 4, 3, 4)
    logits = head(x, (23, 31))
    assert logits.shape == (2, 5, 23, 31)
    assert head.full_size(logits, (23, 31)) is logits


def test_with_nearest_values_a_1x1_classifier_may_come_before_or_after() -> None:
    after = DenseHead(width=None).build(4, 5, "batch", Nearest(), 8)
    before = DenseHead(width=None, enlarge="before_head").build(4, 5, "batch", Nearest(), 8)
    before.load_state_dict(after.state_dict())
    x = torch.randn(2, 4, 3, 4)
    torch.testing.assert_close(after.full_size(after(x, (24, 32)), (24, 32)), before(x, (24, 32)))


def test_width_null_leaves_the_classifier_alone() -> None:
    shapes = [tuple(p.shape) for p in DenseHead(width=None, kernel=3).build(4, 5, "none", Nearest(), 8).parameters()]
    assert shapes == [(5, 4, 3, 3), (5,)]


def test_a_doubled_head_convolves_at_twice_the_size() -> None:
    head, x = DenseHead(width=8, double=True).build(4, 5, "batch", Bilinear(), 16), torch.randn(2, 4, 3, 4)
    logits = head(x, (48, 64))
    assert logits.shape == (2, 5, 6, 8)
    assert head.classifier.in_channels == 16**2
    assert head.full_size(logits, (48, 64)).shape == (2, 5, 48, 64)


@pytest.mark.parametrize(
    ("init", "variance"), [("kaiming", 1 / 576), ("kaiming_relu", 2 / 576), ("kaiming_out", 2 / 1152)]
)
def test_weights_are_drawn_with_the_variance_of_their_name(init: Init, variance: float) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3)
    draw(conv, init)
    assert conv.weight.var().item() == pytest.approx(variance, rel=0.03)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_torch_leaves_weights_as_they_are() -> None:
    conv = nn.Conv2d(4, 4, 3)
    before = conv.weight.clone()
    draw(conv, "torch")
    assert torch.equal(conv.weight, before)
