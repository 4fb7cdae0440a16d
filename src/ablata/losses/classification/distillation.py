"""Knowledge distillation loss: the divergence of a student's distribution from a teacher's, with or without the label.

Sources: Hinton et al. 2015, arXiv 1503.02531, section 2 (temperature, the label's weight); Bagherinezhad et al. 2018,
arXiv 1805.02641, equation 2 (label refinery: the teacher alone, at temperature 1).

Letters: B rows, K classes, z student logits, p = softmax(z), t the teacher's distribution, y the label's, T the
temperature, a the label's weight.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.nn.dtypes import as_float32


class Distillation(Settings):
    """Knowledge distillation loss."""

    kind: Literal["distillation"] = "distillation"
    divergence: Literal["kl", "cross_entropy"] = "kl"
    """KL(t || p), 0 where the student equals its teacher; or the cross-entropy of p under t, larger by the entropy of
    t. Their gradients are the same."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """T: student and teacher logits are divided by it, and the loss is multiplied by its square."""
    sharpening: Annotated[float, Field(gt=0)] = 1.0
    """The teacher's logits alone are divided by this as well; below 1 its labels are sharper than its own."""
    label_weight: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """a: weight of the hard label; 0 trains on the teacher alone."""
    combine: Literal["labels", "losses"] = "labels"
    """How label and teacher are joined: one loss with target a y + (1 - a) t, or a loss(y) + (1 - a) loss(t). At
    temperature 1 the gradients are the same."""

    def build(self) -> DistillationLoss:
        """Make the loss."""
        return DistillationLoss(self)


class DistillationLoss(nn.Module):
    """Mean over the batch, in float32 at least.

    Args:
        settings: see `Distillation`.
    """

    def __init__(self, settings: Distillation) -> None:
        super().__init__()
        self.settings = settings

    @property
    def teacher_temperature(self) -> float:
        """What the teacher's logits are divided by before their softmax."""
        return self.settings.temperature * self.settings.sharpening

    def forward(self, logits: Tensor, teacher: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
        """Return the loss as named terms whose sum is minimised.

        Args:
            logits: [B, K] float, the student's.
            teacher: [B, K] float, the teacher's distribution at `teacher_temperature`; rows add to one. No gradient
                flows into it.
            target: [B, K] float, the label's distribution, smoothed and mixed; given if the label has a weight.

        Returns:
            `distillation`; with `combine="losses"` and a label, `label` before it.

        Raises:
            ValueError: the label has a weight and `target` is missing.
        """
        s = self.settings
        logits, teacher = as_float32(logits), as_float32(teacher.detach())
        scale = s.temperature * s.temperature
        if s.label_weight == 0:
            return {"distillation": scale * self._distance(teacher, logits / s.temperature)}
        if target is None:
            raise ValueError("`target` must be given where the label has a weight")
        if s.combine == "labels":
            joined = torch.lerp(teacher, as_float32(target), s.label_weight)
            return {"distillation": scale * self._distance(joined, logits / s.temperature)}
        return {
            "label": s.label_weight * self._distance(as_float32(target), logits),
            "distillation": (1 - s.label_weight) * scale * self._distance(teacher, logits / s.temperature),
        }

    def _distance(self, target: Tensor, logits: Tensor) -> Tensor:
        """Return KL or cross-entropy of softmax(logits) under `target`, the mean over the batch."""
        cross = -(target * logits.log_softmax(1)).sum(1)
        if self.settings.divergence == "kl":
            cross = cross + torch.xlogy(target, target).sum(1)
        return cross.mean()
