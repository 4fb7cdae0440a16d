"""Cross-entropy and Dice together, of two classes and of many, against loops over pixels and the public code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.dice import CrossEntropyDice, Dice


def batch(classes: int) -> tuple[Tensor, Tensor]:
    """Return float64 logits and labels of the same size, a quarter of them ignored."""
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(2, classes, 6, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (2, 6, 7), generator=generator)
    return logits, labels.masked_fill(torch.rand(2, 6, 7, generator=generator) < 0.25, 255)


def looped(logits: Tensor, labels: Tensor, weights: list[float], first: int) -> float:
    """Return cross-entropy + Dice of the classes from `first` on, pixel by pixel."""
    classes = logits.shape[1]
    probability, truth = logits.softmax(1).numpy(), labels.numpy()
    total = weight = 0.0
    overlap, predicted, true = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for image, y, x in np.ndindex(truth.shape):
        label = int(truth[image, y, x])
        if label == 255:
            continue
        total -= weights[label] * np.log(probability[image, label, y, x])
        weight += weights[label]
        true[label] += 1
        for one in range(classes):
            value = probability[image, one, y, x]
            predicted[one] += value**2
            overlap[one] += value * (label == one)
    dice = 1 - (2 * overlap + 1e-5) / (predicted + true + 1e-5)
    return float(total / weight + dice[first:].mean())


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("background", [True, False])
def test_it_is_a_loop_over_pixels(classes: int, background: bool) -> None:
    logits, labels = batch(classes)
    weights = [0.5, 1.0, 2.0, 3.0, 4.0][:classes]
    loss = CrossEntropyDice(
        cross_entropy=PixelCrossEntropy(weights=tuple(weights)), dice=Dice(background=background)
    ).build()
    expected = looped(logits, labels, weights, 0 if background else 1)
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)


def test_each_part_has_its_factor_and_what_is_ignored_changes_nothing() -> None:
    logits, labels = batch(3)
    logits.requires_grad_()
    loss = CrossEntropyDice(cross_entropy_weight=0.5, dice_weight=2.0).build()
    expected = 0.5 * PixelCrossEntropy().build()(logits, labels) + 2 * Dice().build()(logits, labels)
    found = loss(logits, labels)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found, logits)
    assert not gradient.movedim(1, -1)[labels == 255].any()
    assert loss(logits, torch.full_like(labels, 255)).item() == 0


def test_an_image_without_the_one_kind_of_object_has_no_dice() -> None:
    logits, labels = batch(2)
    empty = torch.zeros_like(labels)
    assert Dice(background=False).build()(logits, empty).item() == 0
    assert Dice(background=False, classes="all").build()(logits, empty).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("mode", ["multiclass", "binary"])
def test_dice_is_that_of_segmentation_models_pytorch(mode: str) -> None:
    losses = pytest.importorskip("segmentation_models_pytorch").losses
    logits, labels = batch(4 if mode == "multiclass" else 2)
    theirs = losses.DiceLoss(mode, from_logits=True, smooth=5e-6, ignore_index=255)  # they add it twice
    seen = logits if mode == "multiclass" else logits[:, 1:] - logits[:, :1]
    ours = Dice(squared=False, background=mode == "multiclass").build()
    torch.testing.assert_close(ours(logits, labels), theirs(seen, labels))
