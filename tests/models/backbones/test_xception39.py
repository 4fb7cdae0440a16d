"""Xception39: shapes, parameters by arithmetic, the paper's cost."""

from __future__ import annotations

import pytest
import torch

from ablata.engine.hardware.complexity import count
from ablata.models.backbones.xception39 import Xception39


def separable(inputs: int, outputs: int) -> int:
    return 9 * inputs + 2 * inputs + inputs * outputs + 2 * outputs


def test_parameters_add_up() -> None:
    expected, inputs = 9 * 3 * 8 + 16, 8
    for middle, blocks in ((16, 4), (32, 8), (64, 4)):
        expected += separable(inputs, 4 * middle)
        for _ in range(blocks):
            expected += separable(inputs, middle) + separable(middle, middle) + separable(middle, 4 * middle)
            inputs = 4 * middle
    with torch.device("meta"):
        backbone = Xception39().build_backbone()
    assert sum(p.numel() for p in backbone.parameters()) == expected


def test_the_cost_is_the_papers() -> None:
    """Table 1 of arXiv 1808.00897: 185.5 million multiply-adds at 640x360, with a linear layer for 19 classes."""
    with torch.device("meta"):
        found = count(Xception39().build_backbone(), torch.empty(1, 3, 360, 640))
    assert found.flops == pytest.approx(185.5e6, rel=0.01)


def test_stages_are_4_to_32_times_smaller_and_as_wide_as_they_say() -> None:
    backbone = Xception39(width=4, blocks=(1, 2, 1)).build_backbone()
    outputs = backbone(torch.randn(2, 3, 64, 96))
    assert {name: value.shape[1] for name, value in outputs.items()} == backbone.widths
    assert [64 // outputs[f"stage{number}"].shape[2] for number in (1, 2, 3, 4)] == [4, 8, 16, 32]


def test_every_parameter_of_the_classifier_learns() -> None:
    model = Xception39(width=4, blocks=(1, 2, 1)).build(5)
    model(torch.randn(2, 3, 64, 64))["logits"].square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
