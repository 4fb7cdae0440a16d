"""Cross-entropy of class labels, with class weights, label smoothing in two forms and the two labels of mixed images.

Letters: B rows, K classes, t a row's target, p = softmax(logits).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from ablata.losses.classification.base import LabelLoss, LabelLossSettings
from ablata.nn.dtypes import as_float32

Weight = Annotated[float, Field(ge=0)]
WeightsOf = Literal["inverse", "sqrt"]
"""How weights are made from the images of each class in the training set."""
_LEAST = 1e-12
"""Where every weight of a batch is 0 the loss is 0."""


class CrossEntropy(LabelLossSettings):
    """Cross-entropy with label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    on: Annotated[float, Field(gt=0, le=1)] | None = None
    """Target on the label, given with `off` in place of smoothing; a row need not add to 1, as with 0.9 and 0.0001."""
    off: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Target on every other class, given with `on`."""
    divergence: Literal["cross_entropy", "kl"] = "cross_entropy"
    """cross_entropy: -sum t log p; kl: sum t (log t - log p), smaller by the target's entropy, of equal gradient."""
    implementation: Literal["fused", "autograd", "custom"] = "fused"
    """What computes it, of equal value and gradient: torch's own kernel; elementary operations and their automatic
    gradient; or a backward pass by hand, p sum t - t, that keeps one [B, K] tensor and computes it again."""

    weights: tuple[Weight, ...] | dict[str, Weight] | WeightsOf | None = None
    """A weight for each class, in the order of the class list; or of some classes by name, the others having 1; or made
    from the images of each class in the training set: inverse (1 / share) or sqrt (its root), their mean 1. An image
    has its label's weight, and the mean is divided by the weights that counted, as torch's own weighted mean."""

    @model_validator(mode="after")
    def _one_form(self) -> CrossEntropy:
        if (self.on is None) != (self.off is None):
            raise ValueError(f"on and off must be given together, got on={self.on}, off={self.off}")
        if self.on is not None and self.smoothing:
            raise ValueError(
                f"on and off stand in place of smoothing: set smoothing=0, got smoothing={self.smoothing}, on={self.on}"
            )
        return self

    def target_values(self, classes: int) -> tuple[float, float]:
        """Return the target on the label, and that on every other of `classes`."""
        if self.on is not None and self.off is not None:
            return self.on, self.off
        return super().target_values(classes)

    def build(self) -> CrossEntropyLoss:
        """Make the loss."""
        return CrossEntropyLoss(self)


class CrossEntropyLoss(LabelLoss):
    """Mean over the batch, in float32 at least; cross-entropy is linear in its target, `kl` is not.

    Args:
        settings: see `CrossEntropy`.

    Raises:
        ValueError: the weights are names still, not numbers in the order of the class list.
    """

    settings: CrossEntropy
    weights: Tensor | None

    def __init__(self, settings: CrossEntropy) -> None:
        super().__init__(settings)
        if isinstance(settings.weights, dict | str):
            raise ValueError(f"weights must be numbers in the order of the class list here, got {settings.weights}")
        weights = None if settings.weights is None else torch.tensor(settings.weights)
        self.register_buffer("weights", weights, persistent=False)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        labels_b: Tensor | None = None,
        lam: Tensor | None = None,
        mix_target: Literal["labels", "losses"] = "labels",
    ) -> Tensor:
        """Return the mean over the batch, a scalar, with class weights where there are any; see `LabelLoss.forward`."""
        if self.weights is None:
            return super().forward(logits, labels, labels_b, lam, mix_target)
        logits = as_float32(logits)
        weights = self.weights.to(logits.device)
        own = weights[labels]
        if labels_b is None or lam is None:
            return (own * self.hard_loss(logits, labels)).sum() / own.sum().clamp(min=_LEAST)
        lam = lam.to(logits.dtype)
        own, other = lam * own, (1 - lam) * weights[labels_b]
        if mix_target == "labels":
            target = self.target(labels, logits.shape[1], labels_b, lam, logits.dtype)
            losses = (own + other) * self.soft_loss(logits, target)
        else:
            losses = own * self.hard_loss(logits, labels) + other * self.hard_loss(logits, labels_b)
        return losses.sum() / (own + other).sum().clamp(min=_LEAST)

    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with labels int64 [B]."""
        settings = self.settings
        if settings.on is None and settings.divergence == "cross_entropy" and settings.implementation == "fused":
            return F.cross_entropy(logits, labels, label_smoothing=settings.smoothing, reduction="none")
        return super().hard_loss(logits, labels)

    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with soft targets [B, K]."""
        match self.settings.implementation:
            case "fused":
                loss = F.cross_entropy(logits, target, reduction="none")
            case "autograd":
                loss = -(target * logits.log_softmax(1)).sum(1)
            case "custom":
                loss = cast(Tensor, _LeanCrossEntropy.apply(logits, target))
        return loss if self.settings.divergence == "cross_entropy" else loss + torch.xlogy(target, target).sum(1)


class _LeanCrossEntropy(torch.autograd.Function):
    """-sum t log p of each row, with the gradient p sum t - t; p is computed again from the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(logits, target)
        return logits.logsumexp(1) * target.sum(1) - (target * logits).sum(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, target = ctx.saved_tensors
        slope = logits.softmax(1).mul_(target.sum(1, keepdim=True)).sub_(target)
        return slope.mul_(gradients[0][:, None]), None
