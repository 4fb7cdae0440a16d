"""Each image's part of mean IoU: its mean is the score, and its variance that of the score over images."""

from __future__ import annotations

import pytest
import torch

from ablata.metrics.segmentation import SegmentationScores
from ablata.metrics.segmentation_items import SegmentationItems, item_values


def drawn(generator: torch.Generator, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.randint(0, 4, (images, 12, 12), generator=generator)
    wrong = torch.rand(images, 12, 12, generator=generator) < torch.rand(images, 1, 1, generator=generator) * 0.6
    predicted = torch.where(wrong, torch.randint(0, 4, labels.shape, generator=generator), labels)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = 255
    return predicted, labels


def counted(predicted: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    items = SegmentationItems(4)
    for part in torch.arange(len(labels)).flip(0).split(7):
        items.update(predicted[part], labels[part], part)
    index, counts = items.gathered(lambda rows: rows, torch.device("cpu"))
    assert index.tolist() == list(range(len(labels)))
    return counts


def test_the_mean_of_the_images_is_the_score() -> None:
    predicted, labels = drawn(torch.Generator().manual_seed(0), 30)
    scores = SegmentationScores(4)
    scores.update(predicted, labels)
    values = item_values(counted(predicted, labels))
    for name in ("miou", "pixel_accuracy"):
        assert float(values[name].mean()) == pytest.approx(scores.scores()[name])


def test_the_variance_over_images_is_that_of_the_score_on_other_images() -> None:
    generator = torch.Generator().manual_seed(1)
    means, errors = [], []
    for _ in range(150):
        values = item_values(counted(*drawn(generator, 40)))["miou"]
        means.append(values.mean())
        errors.append(values.var() / len(values))
    assert float(torch.stack(means).std()) == pytest.approx(float(torch.stack(errors).mean().sqrt()), rel=0.2)
