"""Plain module classes as convolution or attention inside our networks: `model.conv=mine.py:MyConv2d`."""

from __future__ import annotations

import inspect
from typing import Any, cast

from torch import nn

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart, settings_for
from ablata.nn.convolutions import Convolution
from ablata.nn.named_layer import CHANNELS


class PlainConvolution(PlainPart, Convolution):
    """Settings of a convolution that is a plain module class with nn.Conv2d's arguments."""

    def build(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        """Make the convolution; see `Convolution.build`.

        Raises:
            SettingsError: the user's class does not take what a convolution needs.
        """
        given = {
            "in_channels": inputs,
            "out_channels": outputs,
            "kernel_size": kernel,
            "stride": stride,
            "padding": (kernel - 1) // 2 * dilation,
            "dilation": dilation,
            "groups": groups,
            "bias": False,
        }
        taken = inspect.signature(self.THING).parameters
        if any(argument.kind is argument.VAR_KEYWORD for argument in taken.values()):
            return cast(nn.Conv2d, self.THING(**given, **self.arguments()))
        usual = {"stride": 1, "dilation": 1, "groups": 1}
        missing = [name for name, value in usual.items() if name not in taken and given[name] != value]
        if missing:
            raise SettingsError(
                f"A convolution here must take {', '.join(missing)}",
                found=f"{self.kind} takes {', '.join(taken)}",
                do="take the arguments of nn.Conv2d",
            )
        return cast(
            nn.Conv2d, self.THING(**{name: value for name, value in given.items() if name in taken}, **self.arguments())
        )


class PlainGate(PlainPart):
    """Settings of an attention that is a plain module class: [B, C, H, W] to the same shape."""

    def build(self, channels: int, *_: Any, **__: Any) -> nn.Module:
        """Make the layer for maps of `channels` channels."""
        taken = [name for name in inspect.signature(self.THING).parameters if name in CHANNELS]
        return cast(nn.Module, self.THING(**dict.fromkeys(taken[:1], channels), **self.arguments()))


def convolution(thing: Any, reference: str) -> type[PlainConvolution]:
    """Return the settings class of a module class with nn.Conv2d's arguments.

    Raises:
        SettingsError: it is none.
    """
    if not (inspect.isclass(thing) and issubclass(thing, nn.Module)):
        raise SettingsError("A convolution must be an nn.Module class", found=reference, do="derive it from nn.Conv2d")
    given = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")
    return settings_for(PlainConvolution, thing, reference, given)


def gate(thing: Any, reference: str) -> type[PlainGate]:
    """Return the settings class of a module class that gates channels or places of a map.

    Raises:
        SettingsError: it is none.
    """
    if not (inspect.isclass(thing) and issubclass(thing, nn.Module)):
        raise SettingsError(
            "An attention must be an nn.Module class",
            found=reference,
            do="derive it from nn.Module; it is given its number of channels",
        )
    return settings_for(PlainGate, thing, reference, CHANNELS)
