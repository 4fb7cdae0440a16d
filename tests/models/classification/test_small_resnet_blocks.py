"""Residual blocks: shortcuts, where values are dropped, activations, and what a zero gamma does to them."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablata.models.classification.small_resnet import (
    BasicBlock,
    ChannelDrop,
    PadShortcut,
    PreactivationBlock,
    SmallResNetSettings,
    make_shortcut,
)

BLOCKS = [BasicBlock, PreactivationBlock]
PLACES = ["between", "before_last", "after_last"]
every_block = pytest.mark.parametrize("kind", BLOCKS)


def settings(**fields: object) -> SmallResNetSettings:
    return SmallResNetSettings(kind="test", **fields)  # type: ignore[arg-type]


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_pad_shortcut_takes_picked_pixels_between_zero_channels(subtests: pytest.Subtests) -> None:
    for stride, (height, width) in itertools.product([1, 2, 3], [(6, 6), (6, 7), (5, 9)]):
        with subtests.test(height=height, width=width, stride=stride):
            x = inputs(2, 4, height, width).requires_grad_()
            y = PadShortcut(5, stride)(x)
            expected = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 2, 3))
            assert torch.equal(y, expected)
            slope = inputs(*y.shape, seed=2)
            (found,), (wanted,) = torch.autograd.grad(y, x, slope), torch.autograd.grad(expected, x, slope)
            assert torch.equal(found, wanted)


@pytest.mark.parametrize(("kind", "count"), [("pad", 0), ("conv", 4 * 8), ("conv3x3", 9 * 4 * 8)])
@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
def test_a_shortcut_brings_the_input_to_the_shape_of_the_output(kind: str, count: int, stride: int, side: int) -> None:
    shortcut = make_shortcut(kind, 4, 8, stride, norm=False)  # type: ignore[arg-type]
    assert shortcut(inputs(2, 4, 7, 7)).shape == (2, 8, side, side)
    assert sum(parameter.numel() for parameter in shortcut.parameters()) == count


def test_a_shortcut_between_equal_shapes_changes_nothing() -> None:
    x = inputs(2, 4, 6, 6)
    assert torch.equal(make_shortcut("conv", 4, 4, 1, norm=True)(x), x)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu"])
def test_activations_are_torchs_and_leave_their_input(activation: str) -> None:
    x = inputs(100)
    before = x.clone()
    expected = {"relu": F.relu(x), "leaky_relu": F.leaky_relu(x, 0.03), "silu": x * torch.sigmoid(x)}[activation]
    torch.testing.assert_close(settings(activation=activation, slope=0.03).make_activation()(x), expected)
    assert torch.equal(x, before)


@every_block
@pytest.mark.parametrize("place", PLACES)
def test_values_are_dropped_at_the_chosen_place_alone(kind: type[nn.Module], place: str) -> None:
    block = kind(4, 4, 1, settings(dropout=0.5, dropout_position=place))
    dropping = {name.partition(".")[0] for name, module in block.named_modules() if isinstance(module, nn.Dropout)}
    assert dropping == {place}


@every_block
def test_the_order_in_the_residual_path_is_the_stated_one(kind: type[nn.Module]) -> None:
    block = kind(4, 4, 1, settings(dropout=0.5))
    seen: list[str] = []
    for name, module in block.named_children():
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
    block(inputs(2, 4, 6, 6))
    inside = ["conv1", "between", "norm2", "activation", "before_last", "conv2", "after_last", "shortcut"]
    if kind is BasicBlock:
        expected = ["conv1", "between", "norm1", "activation", "before_last", "conv2", "norm2", "after_last"]
        assert seen == [*expected, "shortcut", "activation"]
    else:
        assert seen == ["norm1", "activation", *inside]


@every_block
def test_dropout_at_the_end_of_the_residual_scales_what_is_added(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    block = kind(4, 4, 1, settings(dropout=0.5, dropout_position="after_last")).train()
    plain = kind(4, 4, 1, settings())
    plain.load_state_dict(block.state_dict())
    x = inputs(2, 4, 6, 6).abs() * 10
    torch.manual_seed(3)
    keep = F.dropout(torch.ones_like(x), 0.5)
    torch.manual_seed(3)
    residual = plain.norm2(plain.conv2(F.relu(plain.norm1(plain.conv1(x))))) if kind is BasicBlock else plain(x) - x
    expected = residual * keep + x
    torch.testing.assert_close(block(x), F.relu(expected) if kind is BasicBlock else expected, atol=1e-4, rtol=1e-5)


@every_block
def test_nothing_is_dropped_in_evaluation(kind: type[nn.Module]) -> None:
    block = kind(4, 4, 1, settings(dropout=0.5, channel_drop=3)).eval()
    plain = kind(4, 4, 1, settings()).eval()
    plain.load_state_dict(block.state_dict())
    assert torch.equal(block(inputs(2, 4, 6, 6)), plain(inputs(2, 4, 6, 6)))


def test_channel_drop_zeroes_whole_channels_up_to_the_given_number_and_leaves_the_others() -> None:
    torch.manual_seed(0)
    x = torch.ones(3000, 5, 2, 2)
    y = ChannelDrop(2)(x)
    per_channel = y.flatten(2)
    assert ((per_channel == 0).all(2) | (per_channel == 1).all(2)).all()
    dropped = (per_channel[..., 0] == 0).sum(1)
    counts = torch.bincount(dropped)
    assert len(counts) == 3
    assert (counts.double() / 3000 - 1 / 3).abs().max() < 0.05
    share = (per_channel[..., 0] == 0).double().mean(0)
    assert (share - 1 / 5).abs().max() < 0.05


@every_block
def test_a_zero_gamma_makes_a_block_the_identity(kind: type[nn.Module]) -> None:
    block = kind(4, 4, 1, settings())
    nn.init.zeros_(block.norm2.weight)
    x = inputs(2, 4, 8, 8).abs()
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(
    ("kind", "activation", "learns"),
    [(BasicBlock, "relu", True), (PreactivationBlock, "relu", False), (PreactivationBlock, "leaky_relu", True)],
)
def test_a_zero_gamma_behind_which_a_relu_lies_never_gets_a_gradient(
    kind: type[nn.Module], activation: str, learns: bool
) -> None:
    block = kind(4, 4, 1, settings(activation=activation))
    nn.init.zeros_(block.norm2.weight)
    (block(inputs(2, 4, 8, 8)) * inputs(2, 4, 8, 8, seed=2)).sum().backward()
    inner = [block.norm2.weight, block.norm2.bias, block.conv2.weight, block.conv1.weight]
    assert any(bool(parameter.grad.any()) for parameter in inner) == learns
