"""Plain functions and modules as losses of class labels: `loss=mine.py:poly_loss loss.epsilon=2`."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart, settings_for
from ablata.losses.classification.base import LabelLoss, LabelLossSettings


class PlainLabelLoss(PlainPart, LabelLossSettings):
    """Settings of a classification loss that is a plain function or module class."""

    def build(self) -> PlainLabelLossModule:
        """Make the loss."""
        return PlainLabelLossModule(self)


class PlainLabelLossModule(LabelLoss):
    """A plain loss: called with logits [B, K], float32, and labels [B], int64; returns a scalar or one loss a row [B].

    Args:
        settings: the function or class, and its arguments.
    """

    def __init__(self, settings: PlainLabelLoss) -> None:
        super().__init__(settings)
        self.settings = settings
        self.module: Any = settings.THING(**settings.arguments()) if inspect.isclass(settings.THING) else None

    def _called(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.module is not None:
            found = self.module(logits, labels)
        else:
            found = self.settings.THING(logits, labels, **self.settings.arguments())
        if not isinstance(found, Tensor) or found.shape not in (torch.Size(()), labels.shape):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise SettingsError(
                f"A loss must return a scalar, or one loss a row, here {tuple(labels.shape)}",
                found=f"{self.settings.kind} returned {shape}",
            )
        return found

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        partner: Tensor | None = None,
        weight: Tensor | None = None,
        form: Literal["labels", "losses"] = "labels",
    ) -> Tensor:
        """Return the mean over the batch; of mixed images the losses against both labels are mixed."""
        logits = logits.float() if logits.element_size() < 4 else logits
        own = self._called(logits, labels)
        if partner is None or weight is None:
            return own.mean()
        other, share = self._called(logits, partner), weight.to(own.dtype)
        if own.dim() == 0 and not bool((share == share[0]).all()):
            raise SettingsError(
                "Images mixed one by one need a loss that returns one value a row",
                found=f"{self.settings.kind} returned a scalar",
                do="data.augment.mix.lam=batch",
            )
        share = share if own.dim() else share[0]
        return (share * own + (1 - share) * other).mean()

    def against(self, logits: Tensor, target: Tensor) -> Tensor:
        """Refuse targets that are no labels."""
        raise SettingsError(
            "Soft targets need a loss that takes them, derived from LabelLoss",
            found=f"{self.settings.kind}, which takes labels",
        )


def label_loss(thing: Any, reference: str) -> type[PlainLabelLoss]:
    """Return the settings class of a function of logits and labels, or of a module class.

    Raises:
        SettingsError: it is neither.
    """
    if inspect.isclass(thing) and issubclass(thing, nn.Module):
        return settings_for(PlainLabelLoss, thing, reference)
    if inspect.isfunction(thing):
        return settings_for(PlainLabelLoss, thing, reference, tuple(inspect.signature(thing).parameters)[:2])
    raise SettingsError("A loss must be a function of logits and labels, or an nn.Module class", found=reference)
