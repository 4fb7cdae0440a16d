"""Folding batch normalisation into the convolutions before it, for evaluation.

In evaluation a normalisation is a factor and a shift of each channel, which the weights and the bias of the
convolution before it can take over (torch.nn.utils.fusion). Which convolution comes before which normalisation is seen
on a batch of images, not guessed from names; each pair is folded only if it gives the same outputs there, and all of
them together only if the network does.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops.misc import FrozenBatchNorm2d

TOLERANCE = 1e-4
"""Largest difference of an output, as a fraction of the largest one (or of 1)."""


@dataclass(frozen=True)
class Folded:
    """A network whose normalisations were folded.

    Attributes:
        network: a copy with them, or the network itself where none could be.
        count: how many were folded.
        norms: how many there are.
        difference: largest difference of an output on the images that it was tried on.
    """

    network: nn.Module
    count: int
    norms: int
    difference: float


@torch.no_grad()
def fold_norms(network: nn.Module, run: Callable[[nn.Module], Tensor]) -> Folded:
    """Fold batch normalisation into convolutions where the outputs stay the same.

    Args:
        network: in evaluation mode; it is not changed.
        run: runs a network on some images and returns an output.

    Returns:
        The folded copy; with `count` 0 the network itself, where nothing can be folded or the outputs would differ.
    """
    norms = sum(isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d) for module in network.modules())
    wanted, copied = run(network), copy.deepcopy(network)
    pairs = _pairs(copied, run)
    for conv, norm, fused in pairs:
        _replace(copied, conv, fused)
        # timm's normalisations have their activation inside.
        kept = [module for module in (getattr(norm, "drop", None), getattr(norm, "act", None)) if module is not None]
        _replace(copied, norm, nn.Sequential(*kept) if kept else nn.Identity())
    if pairs:
        difference = float((run(copied) - wanted).abs().max())
        if difference <= TOLERANCE * max(1.0, float(wanted.abs().max())):
            return Folded(copied, len(pairs), norms, difference)
    return Folded(network, 0, norms, 0.0)


_Pair = tuple[nn.Conv2d, nn.Module, nn.Module]


def _pairs(network: nn.Module, run: Callable[[nn.Module], Tensor]) -> list[_Pair]:
    """Return each convolution with the normalisation of its output, and the convolution that stands for both."""
    calls: Counter[nn.Module] = Counter()
    last: dict[int, tuple[nn.Conv2d, Tensor, Tensor]] = {}
    found: list[_Pair] = []

    def after_conv(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        calls[module] += 1
        assert isinstance(module, nn.Conv2d)
        last[id(output)] = (module, inputs[0], output)

    def after_norm(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        calls[module] += 1
        conv, given, own = last.get(id(inputs[0]), (None, None, None))
        last.clear()  # a normalisation follows its convolution at once
        if conv is None or given is None or own is not inputs[0]:
            return
        fused = _fused(conv, module)
        if fused is not None:
            expected = _normalized(module, own)
            if torch.allclose(fused(given), expected, rtol=1e-4, atol=1e-4 * max(1.0, float(expected.abs().max()))):
                found.append((conv, module, fused))

    handles = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after_conv))
        elif isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            handles.append(module.register_forward_hook(after_norm))
    try:
        run(network)
    finally:
        for handle in handles:
            handle.remove()
    return [pair for pair in found if calls[pair[0]] == calls[pair[1]] == 1]


def _normalized(norm: nn.Module, values: Tensor) -> Tensor:
    """Return what a normalisation alone makes of values, without the activation that may be inside."""
    if isinstance(norm, nn.BatchNorm2d):
        return nn.BatchNorm2d.forward(norm, values)
    return FrozenBatchNorm2d.forward(norm, values)  # type: ignore[no-any-return]


def _fused(conv: nn.Conv2d, norm: nn.Module) -> nn.Module | None:
    """Return one convolution for both; None: the normalisation has no statistics of its own."""
    if isinstance(norm, FrozenBatchNorm2d):
        plain = nn.BatchNorm2d(len(norm.weight), eps=norm.eps).eval()
        plain.load_state_dict(norm.state_dict(), strict=False)
        norm = plain
    assert isinstance(norm, nn.BatchNorm2d)
    if norm.running_mean is None or norm.training:
        return None
    fused: nn.Module = fuse_conv_bn_eval(conv, norm)
    return fused


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in network.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
