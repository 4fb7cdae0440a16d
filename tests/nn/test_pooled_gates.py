"""Normalisation and gates behind a mean over the image."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablata.base.errors import SettingsError
from ablata.nn.pooled_gates import ConvGate, Gated, PooledBatchNorm, TwoLayerGate, pooled_conv_norm_act


def test_one_image_in_training_is_refused_with_the_way_out() -> None:
    with pytest.raises(SettingsError, match=r"two images a batch.*\n.*\n.*pooled_norm=group"):
        PooledBatchNorm(4)(torch.randn(1, 4, 1, 1))


def test_one_image_is_welcome_in_evaluation_and_two_in_training() -> None:
    ours, reference = PooledBatchNorm(4), nn.BatchNorm2d(4)
    x = torch.randn(2, 4, 1, 1)
    assert torch.equal(ours(x), reference(x))
    assert torch.equal(ours.eval()(x[:1]), reference.eval()(x[:1]))


@pytest.mark.parametrize("norm", ["group", "none"])
def test_other_normalisations_take_one_image(norm: str) -> None:
    out = pooled_conv_norm_act(16, 16, norm, "sigmoid")(torch.randn(1, 16, 1, 1))  # type: ignore[arg-type]
    assert ((out > 0) & (out < 1)).all()


def test_the_gate_of_one_layer_is_sigmoid_of_normalised_convolution_of_the_mean() -> None:
    gate, x = ConvGate().build(6, "batch"), torch.randn(3, 6, 4, 5)
    conv, norm = gate.layers[0], gate.layers[1]  # type: ignore[index]
    z = x.mean((2, 3)) @ conv.weight[:, :, 0, 0].T
    z = (z - z.mean(0)) / (z.var(0, unbiased=False) + norm.eps).sqrt()
    torch.testing.assert_close(gate(x)[:, :, 0, 0], z.sigmoid())
    assert conv.bias is None


def test_the_gate_of_two_layers_thinks_in_a_quarter_without_biases() -> None:
    gate, x = TwoLayerGate().build(8, "batch"), torch.randn(3, 8, 4, 5)
    reduce, expand = gate.parameters()
    assert reduce.shape == (2, 8, 1, 1)
    expected = ((x.mean((2, 3)) @ reduce[:, :, 0, 0].T).relu() @ expand[:, :, 0, 0].T).sigmoid()
    torch.testing.assert_close(gate(x)[:, :, 0, 0], expected)


def test_a_gate_that_ends_with_relu_is_not_bounded_by_one() -> None:
    gate = ConvGate(norm=False, activation="relu").build(4, "batch")
    out = gate(torch.full((2, 4, 3, 3), 100.0))
    assert out.min() == 0 or out.max() > 1
    assert out.min() >= 0


def test_a_gated_map_is_the_map_times_what_its_means_say() -> None:
    gate, x = ConvGate(norm=False).build(4, "batch"), torch.randn(2, 4, 3, 5)
    conv = gate.layers[0]  # type: ignore[index]
    weights = torch.sigmoid(x.mean((2, 3)) @ conv.weight[:, :, 0, 0].T + conv.bias)  # type: ignore[operator]
    torch.testing.assert_close(Gated(gate)(x), x * weights[:, :, None, None])
