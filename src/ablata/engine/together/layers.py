"""Layers of several networks as one: members side by side in the channels, [B, M * C, ...], each in its own block.

A convolution of M members is one with M times the groups, a batch normalisation one of M times the channels, a linear
layer a batched product. What these are not is applied member by member, so that every network has a stacked form; its
code between the layers must treat channels alike, which is checked where a network is stacked.

The members' parameters and buffers become views of the stacked tensors: whoever steps, averages or saves a member's
network does it as ever.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHANNELWISE: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Sigmoid, nn.Tanh, nn.Softplus, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d,
    nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d, nn.ZeroPad2d, nn.ReflectionPad2d,
)  # fmt: skip
"""Layers without parameters that treat each channel by itself."""
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)

Turn = Callable[[int], AbstractContextManager[None]]
"""Returns the context in which a member draws its random numbers."""


class StackedLayer(nn.Module):
    """Base of layers whose parameters and buffers hold those of all members, one after the other.

    On the processor a stacked layer is used where it gives each member its result and gradients bit for bit, which is
    tried with the first batch; elsewhere the members' own layers take turns. A GPU's kernels round otherwise anyway.

    Args:
        layers: the members', of equal settings.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers, self.count = tuple(layers), len(layers)
        self.takes_turns: bool | None = None
        self.shares: list[tuple[nn.Parameter, list[nn.Parameter]]] = []
        """Each stacked parameter with the members' own."""

    def share(self, name: str) -> nn.Parameter | None:
        """Return the members' parameters of a name as one [M, ...], of which they become views, if there are any."""
        own = [cast(nn.Parameter, getattr(layer, name)) for layer in self.layers]
        if own[0] is None:
            return None
        stacked = nn.Parameter(_joined(own), requires_grad=own[0].requires_grad)
        self.shares.append((stacked, own))
        return stacked

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, M * C, ...], each member's channels by its own layer."""
        if self.takes_turns is None and self.training:
            self.takes_turns = x.device.type == "cpu" and not self._rounds_alike(x)
        return self.in_turns(x) if self.takes_turns else self.at_once(x)

    @abstractmethod
    def at_once(self, x: Tensor) -> Tensor:
        """Map all members' channels by one operation."""

    def in_turns(self, x: Tensor) -> Tensor:
        """Map each member's channels by its own layer."""
        return side_by_side([layer(own) for layer, own in zip(self.layers, blocks(x, self.count), strict=True)])

    def _rounds_alike(self, x: Tensor) -> bool:
        """Tell whether results and gradients are equal bit for bit at once and in turns; changes nothing."""
        buffers = [(buffer, buffer.clone()) for buffer in self.buffers()]
        with torch.enable_grad():
            given = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
            once, turns = self.at_once(given), self.in_turns(given)
            slope = torch.linspace(-1.0, 1.0, once.numel(), dtype=once.dtype).view_as(once)
            parameters = [stacked for stacked, _ in self.shares if stacked.requires_grad]
            own = [one for stacked, members in self.shares if stacked.requires_grad for one in members]
            first = torch.autograd.grad(once, [given, *parameters], slope)
            second = torch.autograd.grad(turns, [given, *own], slope)
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)
        gradients = [gradient for stacked in first[1:] for gradient in stacked.unbind()]
        pairs = zip([once, first[0], *gradients], [turns, *second], strict=True)
        return all(torch.equal(here, there) for here, there in pairs)


class StackedConv2d(StackedLayer):
    """Convolutions of all members as one with M times the groups: [B, M * C_in, H, W] -> [B, M * C_out, H', W']."""

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__(layers)
        first = layers[0]
        self.weight, self.bias = cast(nn.Parameter, self.share("weight")), self.share("bias")
        self._options: dict[str, Any] = {
            "stride": first.stride, "padding": first.padding, "dilation": first.dilation,
            "groups": self.count * first.groups,
        }  # fmt: skip

    def at_once(self, x: Tensor) -> Tensor:
        """Convolve."""
        bias = None if self.bias is None else self.bias.flatten()
        return F.conv2d(x, self.weight.flatten(0, 1), bias, **self._options)


class StackedBatchNorm(StackedLayer):
    """Batch normalisations of all members as one of M times the channels, each channel with its own statistics."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layers: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__(layers)
        self.momentum, self.eps = cast(float, layers[0].momentum), layers[0].eps
        self.weight, self.bias = self.share("weight"), self.share("bias")
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, _joined([cast(Tensor, getattr(layer, name)) for layer in layers]))

    def at_once(self, x: Tensor) -> Tensor:
        """Normalise over the batch, or by the running statistics in evaluation mode."""
        if self.training:
            self.num_batches_tracked.add_(1)
        weight, bias = (None if one is None else one.flatten() for one in (self.weight, self.bias))
        mean, variance = self.running_mean.flatten(), self.running_var.flatten()
        return F.batch_norm(x, mean, variance, weight, bias, self.training, self.momentum, self.eps)


class StackedLinear(StackedLayer):
    """Linear layers of all members as a batched product: [B, M * C] -> [B, M * K]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__(layers)
        self.weight, self.bias = cast(nn.Parameter, self.share("weight")), self.share("bias")

    def at_once(self, x: Tensor) -> Tensor:
        """Multiply.

        Raises:
            ValueError: features of more than two dimensions, of which the second may be something else.
        """
        if x.ndim != 2:
            raise ValueError(f"a stacked linear layer takes features [B, C], got {list(x.shape)}")
        rows = x.reshape(len(x), self.count, -1).transpose(0, 1)
        if self.bias is None:
            mapped = torch.bmm(rows, self.weight.transpose(1, 2))
        else:
            mapped = torch.baddbmm(self.bias[:, None], rows, self.weight.transpose(1, 2))
        return mapped.transpose(0, 1).flatten(1)


class MemberByMember(nn.Module):
    """Applies each member's own module to its block of the channels, with the member's own random numbers.

    Args:
        modules: the members', from one tensor [B, C, ...] to another.
        turn: see `Turn`.
    """

    def __init__(self, modules: Sequence[nn.Module], turn: Turn) -> None:
        super().__init__()
        self.members = nn.ModuleList(modules)
        self._turn = turn

    def forward(self, x: Tensor) -> Tensor:
        """Return the members' results side by side."""
        results = []
        for number, (member, own) in enumerate(zip(self.members, blocks(x, len(self.members)), strict=True)):
            with self._turn(number):
                results.append(member(own))
        return side_by_side(results)


def blocks(x: Tensor, count: int) -> list[Tensor]:
    """Return the members' blocks of channels of [B, M * C, ...], each in memory as it would be alone."""
    layout = layout_of(x)
    return [block.contiguous(memory_format=layout) for block in x.chunk(count, 1)]


def side_by_side(members: Sequence[Tensor]) -> Tensor:
    """Return the members' [B, C, ...] as [B, M * C, ...]; each gets its gradient in memory as it would be alone."""
    return cast(Tensor, _SideBySide.apply(*members))


class _SideBySide(torch.autograd.Function):
    """Concatenation of channels, whose gradients are contiguous: kernels sum strided ones in another order."""

    @staticmethod
    def forward(ctx: Any, *members: Tensor) -> Tensor:
        ctx.count = len(members)
        return torch.cat(members, 1).contiguous(memory_format=layout_of(members[0]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(blocks(gradients[0], ctx.count))


def layout_of(x: Tensor) -> torch.memory_format:
    """Return channels_last for a tensor that is so in memory and in no other way; one channel alone is not."""
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def stack(modules: Sequence[nn.Module], turn: Turn = lambda member: nullcontext()) -> nn.Module:
    """Return modules of one form, one of each member, as one.

    Args:
        modules: the members', whose parameters and buffers become views of the stacked ones.
        turn: see `Turn`.
    """
    return _stack(modules, turn, {})


def _stack(modules: Sequence[nn.Module], turn: Turn, known: dict[int, nn.Module]) -> nn.Module:
    """Stack modules and what they hold; what stands in two places of a network is one layer in the stacked one too."""
    first = modules[0]
    if id(first) not in known:
        known[id(first)] = _as_layer(modules) or _as_container(modules, turn, known) or MemberByMember(modules, turn)
    return known[id(first)]


def _as_layer(modules: Sequence[nn.Module]) -> nn.Module | None:
    """Return modules as one layer, where it is known how."""
    first = modules[0]
    kind = type(first)
    if len({(type(module), str(module)) for module in modules}) > 1 or first._forward_hooks or first._forward_pre_hooks:
        return None
    if kind is nn.Conv2d and first.padding_mode == "zeros":
        return StackedConv2d(cast(Sequence[nn.Conv2d], modules))
    if kind in (nn.BatchNorm1d, nn.BatchNorm2d) and first.track_running_stats and first.momentum is not None:
        return StackedBatchNorm(cast(Sequence[nn.BatchNorm2d], modules))
    if kind is nn.Linear:
        return StackedLinear(cast(Sequence[nn.Linear], modules))
    if kind in _CHANNELWISE:
        return copy.copy(first)
    return nn.Identity() if kind in _DROPOUTS and not cast(Any, first).p else None


def _as_container(modules: Sequence[nn.Module], turn: Turn, known: dict[int, nn.Module]) -> nn.Module | None:
    """Return modules as one with the code of the first and stacked children, where they hold nothing but children."""
    first = modules[0]
    if not first._modules or first._parameters or first._buffers or first._forward_hooks or first._forward_pre_hooks:
        return None
    joined = copy.copy(first)
    joined._modules = {
        name: None if child is None else _stack([cast(Any, module)._modules[name] for module in modules], turn, known)
        for name, child in first._modules.items()
    }
    return joined


def shares(network: nn.Module) -> Iterator[tuple[nn.Parameter, list[nn.Parameter]]]:
    """Return each stacked parameter of a network with the members' own."""
    for module in network.modules():
        if isinstance(module, StackedLayer):
            yield from module.shares


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors of one shape as one [M, ...], of which they become views with the strides that they had."""
    first = tensors[0].detach()
    size = first.numel()
    with torch.no_grad():
        stacked = first.new_empty(len(tensors) * size).as_strided((len(tensors), *first.shape), (size, *first.stride()))
        for view, tensor in zip(stacked.unbind(), tensors, strict=True):
            view.copy_(tensor)
            tensor.data = view
    return stacked
