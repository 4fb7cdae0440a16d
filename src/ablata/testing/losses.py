"""Conformance of losses: of class labels, and over pixels.

Letters: B batch, K classes, H and W height and width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ablata.base.settings import Settings
from ablata.losses.classification.any import AnyLabelLoss
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.losses.segmentation.any import AnyPixelLoss
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.structures.ignore import IGNORE
from ablata.testing.models import chosen, part_of


class _LabelLoss(Settings):
    part: AnyLabelLoss = CrossEntropy()


class _PixelLoss(Settings):
    part: AnyPixelLoss = PixelCrossEntropy()


class LossSuite(ABC):
    """What all losses must do; `LabelLossSuite` and `PixelLossSuite` say of what."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss."""

    @abstractmethod
    def drawn(self) -> tuple[Tensor, Tensor]:
        """Return logits and labels."""

    def test_it_is_a_finite_scalar_with_a_gradient(self) -> None:
        """The loss can be minimised."""
        logits, labels = self.drawn()
        logits.requires_grad_()
        loss = self.loss(logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        assert loss.shape == ()
        assert bool(loss.isfinite())
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())
        assert bool((logits.grad != 0).any())


class LabelLossSuite(LossSuite):
    """What every classification loss must do.

    Attributes:
        part: the loss.
        settings: its settings by name.
        classes: K.
        batch: B.
    """

    part: ClassVar[Any] = None
    settings: ClassVar[dict[str, Any]] = {}
    classes: ClassVar[int] = 5
    batch: ClassVar[int] = 16

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [B, K] against labels int64 [B]."""
        found: Tensor = chosen(_LabelLoss(), part_of(self), self.settings).build()(logits, labels)
        return found

    def drawn(self) -> tuple[Tensor, Tensor]:
        """Return logits and labels."""
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(self.batch, self.classes, generator=generator)
        return logits, torch.randint(self.classes, (self.batch,), generator=generator)

    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        """The loss of shuffled rows is the same."""
        logits, labels = self.drawn()
        order = torch.randperm(self.batch, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(self.loss(logits[order], labels[order]), self.loss(logits, labels))

    def test_right_logits_cost_less_than_wrong_ones(self) -> None:
        """The loss points the right way."""
        _, labels = self.drawn()
        right = 4.0 * functional.one_hot(labels, self.classes)
        assert float(self.loss(right, labels)) < float(self.loss(-right, labels))

    def test_half_precision_is_computed_in_float32(self) -> None:
        """bfloat16 logits give a float32 loss close to that of float32 ones."""
        logits, labels = self.drawn()
        found = self.loss(logits.bfloat16(), labels)
        torch.testing.assert_close(found.float(), self.loss(logits.bfloat16().float(), labels), rtol=1e-4, atol=1e-4)


class PixelLossSuite(LossSuite):
    """What every loss over pixels must do; pixels with the label 255 do not count.

    Attributes:
        part: the loss.
        settings: its settings by name.
        classes: K.
        size: H and W.
    """

    part: ClassVar[Any] = None
    settings: ClassVar[dict[str, Any]] = {}
    classes: ClassVar[int] = 4
    size: ClassVar[tuple[int, int]] = (12, 16)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of logits [B, K, h, w] against labels int64 [B, H, W]."""
        found: Tensor = chosen(_PixelLoss(), part_of(self), self.settings).build(IGNORE)(logits, labels)
        return found

    def drawn(self) -> tuple[Tensor, Tensor]:
        """Return logits at the size of the labels, and labels of which some are ignored."""
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(2, self.classes, *self.size, generator=generator)
        labels = torch.randint(self.classes, (2, *self.size), generator=generator)
        labels[:, :3] = IGNORE
        return logits, labels

    def test_ignored_pixels_do_not_count(self) -> None:
        """What stands on ignored pixels changes nothing."""
        logits, labels = self.drawn()
        changed = logits.clone()
        changed[:, :, :3] += 10 * torch.randn(
            2, self.classes, 3, self.size[1], generator=torch.Generator().manual_seed(1)
        )
        torch.testing.assert_close(self.loss(changed, labels), self.loss(logits, labels))

    def test_a_batch_without_a_pixel_that_counts_is_finite(self) -> None:
        """Loss and gradient are finite where every pixel is ignored."""
        logits, labels = self.drawn()
        logits.requires_grad_()
        loss = self.loss(logits, torch.full_like(labels, IGNORE))
        assert bool(loss.isfinite())
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
            assert logits.grad is None or bool(logits.grad.isfinite().all())

    def test_logits_smaller_than_the_labels_are_taken(self) -> None:
        """Logits of a coarser stride are enlarged to the labels' size."""
        logits, labels = self.drawn()
        assert bool(self.loss(logits[:, :, ::4, ::4], labels).isfinite())

    def test_right_logits_cost_less_than_wrong_ones(self) -> None:
        """The loss points the right way."""
        _, labels = self.drawn()
        right = 6.0 * functional.one_hot(labels.where(labels != IGNORE, 0), self.classes).movedim(-1, 1).float()
        assert float(self.loss(right, labels)) < float(self.loss(-right, labels))
