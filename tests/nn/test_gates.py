"""Squeeze-and-excitation against timm's module, attentional fusion by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ablata.nn.annealing import advance, temperatures
from ablata.nn.gates import AttentionalFusion, SqueezeExcite


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 16, 5, 5, generator=torch.Generator().manual_seed(0))


def test_the_gate_is_timms(x: Tensor) -> None:
    from timm.layers import SqueezeExcite as Reference

    reference, gate = Reference(16, rd_channels=4), SqueezeExcite().build(16, 4)
    gate.reduce.load_state_dict(reference.fc1.state_dict())
    gate.expand.load_state_dict(reference.fc2.state_dict())
    torch.testing.assert_close(gate(x), reference(x))


def test_a_temperature_softens_the_gate_until_it_has_cooled(x: Tensor) -> None:
    torch.manual_seed(0)
    gate = SqueezeExcite(temperature=30, anneal_steps=2).build(16, 4)
    plain = SqueezeExcite().build(16, 4)
    plain.load_state_dict({name: value for name, value in gate.state_dict().items() if "temperature" not in name})
    opening = gate.expand(gate.act(gate.reduce(x.mean((2, 3), keepdim=True))))
    torch.testing.assert_close(gate(x), x * (opening / 30).sigmoid())
    for _ in range(2):
        advance(temperatures(gate))
    torch.testing.assert_close(gate(x), plain(x))


def test_the_last_norm_normalises_what_leaves_the_gate(x: Tensor) -> None:
    out = SqueezeExcite(last_norm=True).build(16, 4)(x)
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((0, 2, 3), correction=0), torch.ones(16), atol=1e-2, rtol=0)


def test_fusion_divides_each_value_between_its_two_inputs(x: Tensor) -> None:
    torch.manual_seed(0)
    fusion, y = AttentionalFusion(reduction=4).build(16), torch.randn(3, 16, 5, 5)
    both = x + y
    weight = (fusion.local(both) + fusion.whole(both.mean((2, 3), keepdim=True))).sigmoid()
    torch.testing.assert_close(fusion(x, y), x * weight + y * (1 - weight))
    low, high = torch.minimum(x, y), torch.maximum(x, y)
    assert ((fusion(x, y) >= low - 1e-6) & (fusion(x, y) <= high + 1e-6)).all()


def test_fusion_of_equal_maps_is_that_map(x: Tensor) -> None:
    torch.testing.assert_close(AttentionalFusion().build(16)(x, x), x)


def test_fusion_that_cannot_decide_is_half_the_sum_or_with_the_authors_gain_the_sum(x: Tensor) -> None:
    y = torch.randn(3, 16, 5, 5)
    for gain, share in ((1, 0.5), (2, 1)):
        fusion = AttentionalFusion(gain=gain).build(16)
        for branch in (fusion.local, fusion.whole):
            nn.init.zeros_(branch[-1].weight)
        torch.testing.assert_close(fusion(x, y), share * (x + y))


def test_the_reduction_decides_the_width_inside() -> None:
    assert AttentionalFusion(reduction=4).build(16).local[0].out_channels == 4
    assert AttentionalFusion(reduction=64).build(16).whole[0].out_channels == 1
    assert isinstance(SqueezeExcite().build(16, 0).reduce, nn.Conv2d)
