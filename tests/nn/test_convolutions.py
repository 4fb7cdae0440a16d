"""Forms of convolution: standardised against timm, aligned by its moments, dynamic image by image."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablata.nn.annealing import advance, temperatures
from ablata.nn.convolutions import AlignedConv, ConvUnit, DynamicConv, PlainConv, StandardizedConv

FORMS = [PlainConv(), StandardizedConv(), AlignedConv(), DynamicConv()]
SHAPES = [(8, 12, 3, 1, 1, 1), (8, 12, 3, 2, 1, 1), (8, 12, 1, 2, 1, 1), (8, 8, 3, 1, 2, 1), (8, 8, 5, 2, 1, 8)]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 8, 9, 9, generator=torch.Generator().manual_seed(0))


def test_every_form_maps_as_torchs_convolution_does(x: Tensor, subtests: pytest.Subtests) -> None:
    for shape, form in itertools.product(SHAPES, FORMS):
        with subtests.test(form=form, shape=shape):
            inputs, outputs, kernel, stride, dilation, groups = shape
            reference = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2 * dilation, dilation, groups, bias=False)
            conv = form.build(inputs, outputs, kernel, stride, dilation, groups)
            assert conv(x).shape == reference(x).shape
            assert conv.bias is None


def test_standardised_filters_are_timms(x: Tensor) -> None:
    from timm.layers import StdConv2d

    conv, reference = StandardizedConv().build(8, 12, 3), StdConv2d(8, 12, 3, padding=1, eps=1e-6)
    reference.load_state_dict(conv.state_dict())
    torch.testing.assert_close(conv(x), reference(x))


@pytest.mark.parametrize(("form", "variance"), [(StandardizedConv(), 1.0), (AlignedConv(), 2 / 72)])
def test_filters_have_mean_zero_and_the_forms_variance_whatever_the_weights(
    form: StandardizedConv, variance: float
) -> None:
    conv = form.build(8, 12, 3)
    nn.init.uniform_(conv.weight, 1, 5)
    # One tap at a time: the responses to unit images are the filter itself.
    taps = torch.eye(72).view(72, 8, 3, 3)
    filters = conv(taps)[:, :, 1, 1].T
    torch.testing.assert_close(filters.mean(1), torch.zeros(12), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.var(1, correction=0), torch.full((12,), variance), rtol=1e-4, atol=0)


def test_aligned_filters_scale_with_their_learnt_factor(x: Tensor) -> None:
    conv = AlignedConv().build(8, 12, 3)
    before = conv(x)
    with torch.no_grad():
        conv.gamma.mul_(3)
    torch.testing.assert_close(conv(x), 3 * before)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_image_is_convolved_by_its_own_mean_of_the_kernels(shape: tuple[int, ...], x: Tensor) -> None:
    torch.manual_seed(0)
    inputs, outputs, kernel, stride, dilation, groups = shape
    conv = DynamicConv(kernels=3, temperature=1).build(inputs, outputs, kernel, stride, dilation, groups)
    kernels = conv.weight.view(3, outputs, *conv.weight.shape[1:])
    chosen = conv.attention(x)
    torch.testing.assert_close(chosen.sum(1), torch.ones(3))
    for index, image in enumerate(x):
        mixed = torch.einsum("k,koihw->oihw", chosen[index], kernels)
        alone = F.conv2d(image[None], mixed, None, stride, kernel // 2 * dilation, dilation, groups)
        torch.testing.assert_close(conv(x)[index], alone[0], rtol=1e-4, atol=1e-5)


def test_the_choice_of_kernels_begins_even_and_sharpens_with_the_steps(x: Tensor) -> None:
    torch.manual_seed(0)
    conv = DynamicConv(anneal_steps=5).build(8, 12, 3)
    nn.init.normal_(conv.choose.weight, std=5)
    sharpness = []
    for _ in range(6):
        sharpness.append(conv.attention(x).max(1).values.mean().item())
        advance(temperatures(conv))
    assert sharpness[0] < 0.4
    assert sharpness == sorted(sharpness)
    assert conv.attention(x).equal(conv.choose(F.relu(conv.reduce(x.mean((2, 3))))).softmax(1))


def test_forward_passes_do_not_cool_a_dynamic_convolution(x: Tensor) -> None:
    conv = DynamicConv(anneal_steps=5).build(8, 12, 3)
    assert torch.equal(conv(x), conv(x))
    assert conv.temperature.step.item() == 0


def test_the_kernels_begin_different() -> None:
    weight = DynamicConv(kernels=2).build(8, 12, 3).weight
    assert not torch.equal(weight[:12], weight[12:])


def test_a_unit_is_convolution_norm_activation(x: Tensor) -> None:
    unit = ConvUnit(PlainConv().build(8, 12, 3), "relu")
    torch.testing.assert_close(unit(x), F.relu(unit.norm(unit.conv(x))))
    assert (ConvUnit(PlainConv().build(8, 12, 3), None)(x) < 0).any()
