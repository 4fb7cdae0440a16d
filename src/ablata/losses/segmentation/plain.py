"""Plain functions and modules as losses over pixels: `loss=mine.py:Tversky loss.alpha=0.7`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart, settings_for
from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings
from ablata.losses.segmentation.upsample_rows import upsample_rows

GIVEN = ("ignore_index",)
"""The argument that the data decides."""


class PlainPixelLoss(PlainPart, PixelLossSettings):
    """Settings of a loss over pixels that is a plain function or module class."""

    def build(self, ignore: int = IGNORE) -> PlainPixelLossModule:
        """Make the loss; see `PixelLossSettings.build`."""
        return PlainPixelLossModule(self, ignore)


class PlainPixelLossModule(PixelLoss):
    """A plain loss: called with logits [B, K, H, W], float32, and labels [B, H, W], int64; returns a scalar.

    Args:
        settings: the function or class, and its arguments.
        ignore: label of the pixels that do not count, given as `ignore_index`.
    """

    def __init__(self, settings: PlainPixelLoss, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.settings = settings
        self._arguments = settings.arguments() | {"ignore_index": ignore}
        self.module: Any = settings.THING(**self._arguments) if inspect.isclass(settings.THING) else None

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar; logits smaller than the labels are enlarged first.

        Raises:
            SettingsError: the user's function did not return a scalar.
        """
        full = upsample_rows(logits, labels, (0, labels.shape[1])).float()
        found = self.module(full, labels) if self.module else self.settings.THING(full, labels, **self._arguments)
        if not isinstance(found, Tensor) or found.shape != torch.Size(()):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise SettingsError(
                "A loss over pixels must return a scalar",
                found=f"{self.settings.kind} returned {shape}",
                do="return the mean over the pixels that count",
            )
        return found


def pixel_loss(thing: Any, reference: str) -> type[PlainPixelLoss]:
    """Return the settings class of a function of logits, labels and `ignore_index`, or of a module class.

    Raises:
        SettingsError: it is neither, or takes no `ignore_index`.
    """
    module = inspect.isclass(thing) and issubclass(thing, nn.Module)
    if not module and not inspect.isfunction(thing):
        raise SettingsError(
            "A loss must be a function of logits and labels, or an nn.Module class",
            found=reference,
            do="def loss(logits, labels, ignore_index: int = 255): ...",
        )
    names = tuple(inspect.signature(thing).parameters)
    if "ignore_index" not in names:
        raise SettingsError(
            "A loss over pixels must take ignore_index, the label of pixels that do not count",
            found=f"{reference} takes {', '.join(names)}",
            do="add the argument ignore_index: int = 255, and leave those pixels out",
        )
    return settings_for(PlainPixelLoss, thing, reference, GIVEN if module else (*names[:2], *GIVEN))
