"""Layers of the user's own inside our networks, named by a reference: `model.activation=mine.py:Mish2`."""

from __future__ import annotations

import inspect
from typing import Any, cast

from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.user_code import resolve

CHANNELS = ("channels", "num_features", "num_channels", "in_channels", "dim")
"""Names under which a layer may take its number of channels."""


def make_layer(reference: str, channels: int | None = None) -> nn.Module:
    """Return a layer [B, C, H, W] to [B, C, H, W] of the user's class or function.

    Args:
        reference: `path/to/file.py:Name`.
        channels: C, given where the class takes it; None: not known.

    Raises:
        SettingsError: it is neither a module class nor a function.
    """
    thing = resolve(reference)
    if inspect.isclass(thing) and issubclass(thing, nn.Module):
        taken = [name for name in inspect.signature(thing).parameters if name in CHANNELS]
        made: nn.Module = thing(**dict.fromkeys(taken[:1], channels) if channels is not None else {})
        return made

    if inspect.isfunction(thing) or inspect.isbuiltin(thing):
        return FunctionLayer(thing)
    raise SettingsError(
        "A layer must be an nn.Module class, or a function of a tensor", found=reference, do="def activation(x): ..."
    )


class FunctionLayer(nn.Module):
    """A function of one tensor as a layer.

    Args:
        function: maps a tensor to one of the same shape.
    """

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""
        return cast(Tensor, self.function(x))
