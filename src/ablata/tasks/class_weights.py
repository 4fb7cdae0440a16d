"""Class weights of a loss over labels, as numbers in the order of the class list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ablata.base.errors import SettingsError, choices, nearest
from ablata.losses.classification.cross_entropy import CrossEntropy


def weights_by_name(weights: dict[str, float], classes: Sequence[str]) -> tuple[float, ...]:
    """Return the weight of each class, 1 where none is given.

    Raises:
        SettingsError: there is no such class.
    """
    for name in weights:
        if name not in classes:
            close = nearest(name, classes)
            raise SettingsError(
                f"Class weights must be of classes of the data: {choices(classes, name)}",
                found=f"loss.weights has {name}",
                do=f"did you mean {close}?" if close else "choose one of them",
            )
    return tuple(weights.get(name, 1.0) for name in classes)


def with_label_weights(loss: Any, classes: Sequence[str], labels: np.ndarray) -> Any:
    """Return a loss over labels with the weights of its cross-entropy as numbers; others as they are.

    Args:
        loss: its settings.
        classes: of the data.
        labels: int64 [n], the training set's.

    Raises:
        SettingsError: a weight is given to a class that the data do not have, or their number is another.
    """
    if not isinstance(loss, CrossEntropy) or loss.weights is None:
        return loss
    if isinstance(loss.weights, tuple):
        if len(loss.weights) != len(classes):
            raise SettingsError(
                "There must be one weight for each class",
                found=f"loss.weights has {len(loss.weights)}, the data {len(classes)} classes",
                do="give one for each, or leave loss.weights out",
            )
        return loss
    if isinstance(loss.weights, dict):
        return loss.model_copy(update={"weights": weights_by_name(loss.weights, classes)})
    counts = np.bincount(labels[labels >= 0], minlength=len(classes)).astype(float)
    # A class without an image weighs nothing, and is not there to be weighed.
    made = np.divide(1.0, counts, out=np.zeros_like(counts), where=counts > 0)
    made = np.sqrt(made) if loss.weights == "sqrt" else made
    return loss.model_copy(update={"weights": tuple((made / made[counts > 0].mean()).tolist())})
