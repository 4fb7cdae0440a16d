"""Class weights that a recipe gives by name, as numbers in the order of a data set's classes."""

from __future__ import annotations

from typing import Any

from ablata.base.errors import SettingsError, listing, nearest
from ablata.data.label_tools.statistics import ClassCounts, LabelStatistics
from ablata.data.label_tools.survey import Count
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy, WeightsOf
from ablata.losses.segmentation.lovasz import CrossEntropyLovasz


def with_numbers(loss: Any, data: SegmentationDataset) -> Any:
    """Return a loss over pixels, or None, with the weights of its cross-entropy as numbers.

    Raises:
        SettingsError: a weight is given to a class that the data do not have.
    """
    if isinstance(loss, CrossEntropyLovasz):
        return loss.model_copy(update={"cross_entropy": with_numbers(loss.cross_entropy, data)})
    if not isinstance(loss, PixelCrossEntropy) or loss.weights is None or isinstance(loss.weights, tuple):
        return loss
    weights = by_name(loss.weights, data.classes) if isinstance(loss.weights, dict) else counted(loss.weights, data)
    return loss.model_copy(update={"weights": weights})


def by_name(weights: dict[str, float], classes: tuple[str, ...]) -> tuple[float, ...]:
    """Return the weight of each class, 1 where none is given.

    Raises:
        SettingsError: there is no such class.
    """
    for name in weights:
        if name not in classes:
            close = nearest(name, classes)
            raise SettingsError(
                f"Weights must be of classes of the data: {listing(classes)}",
                found=f"loss.weights has {name}",
                do=f"did you mean {close}?" if close else None,
            )
    return tuple(weights.get(name, 1.0) for name in classes)


def counted(way: WeightsOf, data: SegmentationDataset) -> tuple[float, ...]:
    """Return the weights that `ablata data stats` makes of the training set."""
    pixels = data.image_pixels("train")
    areas = data.image_sizes("train").prod(1)
    classes = tuple(
        ClassCounts(name, {"train": Count(int(own.sum()), int((own > 0).sum()), int(areas[own > 0].sum()))})
        for name, own in zip(data.classes, pixels.T, strict=True)
    )
    total = int(pixels.sum())
    statistics = LabelStatistics(
        classes, {"train": total}, {"train": len(pixels)}, {"train": int(areas.sum()) - total}, "train"
    )
    return tuple(statistics.weights(way).tolist())
