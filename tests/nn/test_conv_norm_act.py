"""The shared block: its order, sizes and biases."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest
import torch
from torch import nn

from ablata.nn.conv_norm_act import ActivationName, ConvNormAct, NormName, make_activation, make_norm

EVERY = list(product(get_args(NormName), get_args(ActivationName)))


def test_the_block_is_convolution_then_norm_then_activation(subtests: pytest.Subtests) -> None:
    for norm, activation in EVERY:
        with subtests.test(norm=norm, activation=activation):
            torch.manual_seed(0)
            block = ConvNormAct(3, 16, 5, stride=2, norm=norm, activation=activation)
            x = torch.randn(4, 3, 9, 9)
            with torch.no_grad():
                convolved = nn.functional.conv2d(x, block.conv.weight, block.conv.bias, stride=2, padding=2)
                expected = make_activation(activation)(make_norm(norm, 16)(convolved))
                assert torch.equal(block(x), expected)
            assert expected.shape == (4, 16, 5, 5)
            assert (block.conv.bias is None) == (norm != "none")


def test_groups_hold_eight_channels_where_they_divide() -> None:
    assert make_norm("group", 32).num_groups == 4
    assert make_norm("group", 12).num_groups == 1
