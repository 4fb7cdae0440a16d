"""Metrics and protocols of a user's own: functions, by which scores are computed beside the built-in ones.

metrics=mine.py:f1 judge.name=f1 protocols=mine.py:three_views
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.user_code import parse_reference, resolve


def score_label(name: str) -> str:
    """Return what a protocol or a metric is called in scores: its word, or the name of the user's function."""
    reference = parse_reference(name)
    return name if reference is None else reference.name


def check_function(reference: str, given: str) -> None:
    """Check that a user's function can be called with two arguments; a word passes.

    Args:
        reference: of the function.
        given: what they are, for messages: `predictions and labels`.

    Raises:
        SettingsError: it cannot.
    """
    if parse_reference(reference) is None:
        return
    try:
        inspect.signature(resolve(reference)).bind(None, None)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            f"It must be a function of {given}",
            found=f"{reference}: {error}",
            do=f"take {given}, and give further arguments defaults",
        ) from None


def own_function(name: str) -> Callable[..., Any] | None:
    """Return the function that a reference names; None for a word."""
    return resolve(name) if parse_reference(name) is not None else None


def check_shape(reference: str, found: Any, wanted: Sequence[int | None], what: str) -> Tensor:
    """Return what a protocol gave, if it is a tensor of a shape.

    Args:
        reference: of the protocol.
        found: what it returned.
        wanted: the shape; None: any length.
        what: name of the output and its letters, for messages: `logits [B, K]`.

    Raises:
        SettingsError: it is something else.
    """
    if (
        isinstance(found, Tensor)
        and found.dim() == len(wanted)
        and all(side in (None, own) for side, own in zip(wanted, found.shape, strict=True))
    ):
        return found
    told = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    shape = " x ".join("any" if side is None else str(side) for side in wanted)
    raise SettingsError(
        f"A protocol must return {what}, here {shape}",
        found=f"{reference} returned {told}",
        do="return what the network returns for these images",
    )


def score_metrics(references: Sequence[str], predictions: Any, labels: Any) -> dict[str, float]:
    """Return what each metric says of predictions and labels.

    Args:
        references: of functions of predictions and labels.
        predictions: as the task gives them.
        labels: likewise.

    Raises:
        SettingsError: a function returns something else than a number.
    """
    return {score_label(text): _score(text, resolve(text), predictions, labels) for text in references}


def _score(reference: str, metric: Any, predictions: Any, labels: Any) -> float:
    value: Any = metric(predictions, labels)
    value = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SettingsError(
            "A metric must return a number",
            found=f"{reference} returned {type(value).__name__}",
            do="return a float, or a tensor of one value",
        ) from None


class MeanOverImages:
    """The mean over images of what metrics say of each; an image for which one says nan does not count for it.

    Args:
        references: of functions of a prediction and a label map, both int64 [H, W].
    """

    def __init__(self, references: Sequence[str]) -> None:
        self.names = tuple(map(score_label, references))
        self._metrics = [(name, text, resolve(text)) for name, text in zip(self.names, references, strict=True)]
        self.sums, self.counts = dict.fromkeys(self.names, 0.0), dict.fromkeys(self.names, 0)

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add the images of a batch, [B, H, W] each."""
        for one, truth in zip(predicted.long().cpu(), labels.long().cpu(), strict=True):
            for name, reference, metric in self._metrics:
                if not math.isnan(value := _score(reference, metric, one, truth)):
                    self.sums[name] += value
                    self.counts[name] += 1
