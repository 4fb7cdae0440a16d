"""Metrics of a user's own: functions of predictions and labels, each a further score under its name.

metrics=mine.py:f1 judge.name=f1
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.user_code import parse_reference, resolve


def metric_names(references: Sequence[str]) -> tuple[str, ...]:
    """Return the names under which the scores of metrics stand: those of the functions."""
    return tuple(reference.name for text in references if (reference := parse_reference(text)) is not None)


def score_metrics(references: Sequence[str], predictions: Tensor, labels: Tensor) -> dict[str, float]:
    """Return what each metric says of predictions and labels.

    Args:
        references: of functions of predictions and labels.
        predictions: as the task gives them.
        labels: likewise.

    Raises:
        SettingsError: a function returns something else than a number.
    """
    return {
        name: _score(text, resolve(text), predictions, labels)
        for text, name in zip(references, metric_names(references), strict=True)
    }


def _score(reference: str, metric: Any, predictions: Tensor, labels: Tensor) -> float:
    value: Any = metric(predictions, labels)
    value = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SettingsError(
            "A metric must return a number", found=f"{reference} returned {type(value).__name__}"
        ) from None


class MeanOverImages:
    """The mean over images of what metrics say of each; an image for which one says nan does not count for it.

    Args:
        references: of functions of a prediction and a label map, both int64 [H, W].
    """

    def __init__(self, references: Sequence[str]) -> None:
        self.names = metric_names(references)
        self._metrics = [(name, text, resolve(text)) for name, text in zip(self.names, references, strict=True)]
        self.sums, self.counts = dict.fromkeys(self.names, 0.0), dict.fromkeys(self.names, 0)

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add the images of a batch, [B, H, W] each."""
        for one, truth in zip(predicted.long().cpu(), labels.long().cpu(), strict=True):
            for name, reference, metric in self._metrics:
                if not math.isnan(value := _score(reference, metric, one, truth)):
                    self.sums[name] += value
                    self.counts[name] += 1
