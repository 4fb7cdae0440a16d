"""Plain functions and modules as losses of class labels: `loss=mine.py:poly_loss loss.epsilon=2`."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import torch
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart
from ablata.losses.classification.base import LabelLoss, LabelLossSettings
from ablata.losses.plain import settings_of_loss


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
        self.plain = settings
        self.module: Any = settings.THING(**settings.arguments()) if inspect.isclass(settings.THING) else None

    def _called(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.module is not None:
            found = self.module(logits, labels)
        else:
            found = self.plain.THING(logits, labels, **self.plain.arguments())
        if not isinstance(found, Tensor) or found.shape not in (torch.Size(()), labels.shape):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise SettingsError(
                f"A loss must return a scalar, or one loss a row, here {tuple(labels.shape)}",
                found=f"{self.plain.kind} returned {shape}",
                do="return its mean over the rows, or one value for each",
            )
        return found

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        labels_b: Tensor | None = None,
        lam: Tensor | None = None,
        mix_target: Literal["labels", "losses"] = "labels",
    ) -> Tensor:
        """Return the mean over the batch; of mixed images the losses against both labels are mixed.

        Raises:
            SettingsError: it returned neither a scalar nor a value a row, or a scalar where images are mixed unequally.
        """
        logits = logits.float() if logits.element_size() < 4 else logits
        own = self._called(logits, labels)
        if labels_b is None or lam is None:
            return own.mean()
        other, weight = self._called(logits, labels_b), lam.to(own.dtype)
        if own.dim() == 0 and not bool((weight == weight[0]).all()):
            raise SettingsError(
                "Images mixed one by one need a loss that returns one value a row",
                found=f"{self.plain.kind} returned a scalar",
                do="data.augment.mix.lam=batch",
            )
        weight = weight if own.dim() else weight[0]
        return (weight * own + (1 - weight) * other).mean()

    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Refuse targets that are no labels.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(
            "Soft targets need a loss that takes them, derived from LabelLoss",
            found=f"{self.plain.kind}, which takes labels",
            do="derive the loss from ablata.losses.classification.base.LabelLoss, or set refine=null",
        )


def label_loss(thing: Any, reference: str) -> type[PlainLabelLoss]:
    """Return the settings class of a function of logits and labels, or of a module class.

    Raises:
        SettingsError: it is neither.
    """
    return settings_of_loss(PlainLabelLoss, thing, reference, "logits, labels")
