"""The conformance suites: built-in parts pass them, and a part with a fault fails the test that is for it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ablata.recipes.index import load_recipe
from ablata.testing import (
    ClassifierSuite,
    ImageDataSuite,
    ImageMetricSuite,
    LabelLossSuite,
    MetricSuite,
    PixelLossSuite,
    SegmentationDataSuite,
    SegmenterSuite,
    TaskSuite,
)


class TestDigitsNet(ClassifierSuite):
    part = "digits_net"
    settings: ClassVar[dict[str, Any]] = {"width": 8}
    image = (1, 8, 8)


class TestBiSeNet(SegmenterSuite):
    part = "bisenet"


class TestCrossEntropy(LabelLossSuite):
    part = "cross_entropy"


class TestFocal(PixelLossSuite):
    part = "focal"


class TestDigits(ImageDataSuite):
    part = "digits"


class TestSceneMasks(SegmentationDataSuite):
    part = "scene_masks"
    settings: ClassVar[dict[str, Any]] = {"train": 16, "val": 5}


def accuracy(predictions: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right predictions."""
    return (predictions.argmax(1) == labels).float().mean()


def pixel_accuracy(predicted: Tensor, labels: Tensor) -> Tensor:
    """Return the share of right pixels."""
    return (predicted == labels)[labels != 255].float().mean()


class TestAccuracy(MetricSuite):
    part = accuracy


class TestPixelAccuracy(ImageMetricSuite):
    part = pixel_accuracy


class TestDigitsTask(TaskSuite):
    part = load_recipe("digits")
    overrides = ("model.width=4",)


class Mixing(nn.Module):
    """A network whose logits depend on the other images of the batch."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.linear, self.unused = nn.Linear(in_channels, num_classes), nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        features = images.mean((2, 3))
        out: Tensor = self.linear(features - features.mean(0))
        return out


def counting_all(logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
    """Return a loss that takes ignored pixels for class 0."""
    return functional.cross_entropy(logits, labels.where(labels != ignore_index, 0))


def first_row(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of the first row alone."""
    return functional.cross_entropy(logits[:1], labels[:1])


def test_a_fault_fails_the_test_that_is_for_it() -> None:
    class Model(ClassifierSuite):
        part = Mixing

    class Pixels(PixelLossSuite):
        part = counting_all

    class Rows(LabelLossSuite):
        part = first_row

    faults = (
        Model().test_in_evaluation_an_image_gives_the_same_alone_and_in_a_batch,
        Model().test_a_gradient_reaches_every_trainable_parameter,
        Pixels().test_ignored_pixels_do_not_count,
        Rows().test_the_order_of_the_rows_does_not_matter,
    )
    for check in faults:
        with pytest.raises(AssertionError):
            check()
    Model().test_one_seed_gives_one_model_and_another_seed_another()
    assert torch.is_tensor(Rows().loss(*Rows().drawn()))
