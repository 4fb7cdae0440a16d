"""Conformance of metrics: functions of predictions and labels."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from ablata.base.user_code import resolve
from ablata.testing.models import part_of


class _Metric:
    part: ClassVar[Any] = None
    classes: ClassVar[int] = 4

    def score(self, predictions: Tensor, labels: Tensor) -> float:
        """Return what the metric says."""
        part = part_of(self)
        metric = resolve(part) if isinstance(part, str) else part
        return float(metric(predictions, labels))


class MetricSuite(_Metric):
    """What every metric of a classifier must do.

    Attributes:
        part: the function, or its reference.
        classes: K.
    """

    def drawn(self, seed: int = 0, count: int = 40) -> tuple[Tensor, Tensor]:
        """Return probabilities float32 [N, K] and labels int64 [N]."""
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(count, self.classes, generator=generator)
        return logits.softmax(1), torch.randint(self.classes, (count,), generator=generator)

    def test_it_is_a_finite_number(self) -> None:
        assert math.isfinite(self.score(*self.drawn()))

    def test_the_order_of_the_samples_does_not_matter(self) -> None:
        found, labels = self.drawn()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
        assert math.isclose(
            self.score(found[order], labels[order]), self.score(found, labels), rel_tol=1e-5, abs_tol=1e-6
        )

    def test_what_it_is_given_stays_as_it_is(self) -> None:
        found, labels = self.drawn()
        before = found.clone(), labels.clone()
        self.score(found, labels)
        assert torch.equal(found, before[0])
        assert torch.equal(labels, before[1])


class ImageMetricSuite(_Metric):
    """What every metric of one image's label maps must do; see `MetricSuite`."""

    def test_it_is_a_number_for_any_map(self) -> None:
        generator = torch.Generator().manual_seed(0)
        found, labels = (torch.randint(self.classes, (9, 12), generator=generator) for _ in range(2))
        assert math.isfinite(self.score(found, labels))

    def test_ignored_pixels_do_not_count(self) -> None:
        generator = torch.Generator().manual_seed(0)
        found, labels = (torch.randint(self.classes, (9, 12), generator=generator) for _ in range(2))
        labels[:4] = 255
        other = found.clone()
        other[:4] = (other[:4] + 1) % self.classes
        first, second = self.score(found, labels), self.score(other, labels)
        assert math.isclose(first, second) or (math.isnan(first) and math.isnan(second))
