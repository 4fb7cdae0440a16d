"""The conformance suites: built-in parts pass them, and a part with a fault fails the test that is for it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import box_iou

from ablata.recipes.index import load_recipe
from ablata.testing import (
    ClassifierSuite,
    DetectionDataSuite,
    DetectionMetricSuite,
    DetectorSuite,
    IdentityDataSuite,
    ImageDataSuite,
    ImageMetricSuite,
    LabelLossSuite,
    MetricSuite,
    PixelLossSuite,
    RetrievalMetricSuite,
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


class TestMaskRcnn(DetectorSuite):
    part = load_recipe("relation_rcnn_scenes").model


def fcos(num_classes: int) -> nn.Module:
    """Return torchvision's FCOS on one small convolution."""
    backbone = nn.Sequential(nn.Conv2d(3, 32, 3, stride=8, padding=1), nn.ReLU())
    backbone.out_channels = 32
    anchors = AnchorGenerator(((16,),), ((1.0,),))
    return FCOS(backbone, num_classes, min_size=64, max_size=128, anchor_generator=anchors, score_thresh=0.0)


class TestFcos(DetectorSuite):
    part = fcos


class TestCrossEntropy(LabelLossSuite):
    part = "cross_entropy"


class TestFocal(PixelLossSuite):
    part = "focal"


class TestDigits(ImageDataSuite):
    part = "digits"


class TestPersons(IdentityDataSuite):
    part = "persons"
    settings: ClassVar[dict[str, Any]] = {"train": 6, "val": 4, "height": 16, "width": 8}


class TestSceneMasks(SegmentationDataSuite):
    part = "scene_masks"
    settings: ClassVar[dict[str, Any]] = {"train": 16, "val": 5}


class TestSceneBoxes(DetectionDataSuite):
    part = "scene_boxes"
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


def found_objects(predictions: list[dict[str, Any]], truth: list[dict[str, Any]]) -> float:
    """Return the share of objects that a box of any class lies on."""
    pairs = [(one["boxes"], other["boxes"][~other["crowd"]]) for one, other in zip(predictions, truth, strict=True)]
    hits = sum(int((box_iou(boxes, found) >= 0.5).any(1).sum()) for found, boxes in pairs if len(found))
    return hits / sum(len(boxes) for _, boxes in pairs)


def first_is_right(distances: Tensor, right: Tensor) -> Tensor:
    """Return how often the nearest image is of the same person."""
    return right.gather(1, distances.argmin(1, keepdim=True)).float().mean()


class TestFoundObjects(DetectionMetricSuite):
    part = found_objects


class TestFoundObjectsWithMasks(DetectionMetricSuite):
    part = found_objects
    masks = True


class TestFirstIsRight(RetrievalMetricSuite):
    part = first_is_right


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


class Forgetful(nn.Module):
    """A detector that cannot learn from an image without objects, and detects by the batch's brightest image."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, num_classes)

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> Any:
        logits = self.linear(torch.stack([image.mean((1, 2)) for image in images]))
        if targets is not None:
            boxes = torch.stack([target["boxes"].mean(0) for target in targets])
            return {"class": (logits.sum(1) - boxes.sum(1)).square().mean()}
        scores = logits[:, 1:].sigmoid().amax(0).amax().expand(1)
        box = torch.tensor([[0.0, 0.0, 8.0, 8.0]])
        return [{"boxes": box, "labels": torch.ones(1).long(), "scores": scores} for _ in images]


def mean_score(predictions: list[dict[str, Any]], truth: list[dict[str, Any]]) -> Tensor:
    """Return the mean score of all detections: not a number where there are none."""
    return torch.cat([one["scores"] for one in predictions]).mean()


def farthest_is_right(distances: Tensor, right: Tensor) -> Tensor:
    """Return how often the farthest image is right, those that are left out among them."""
    return right.gather(1, distances.argmax(1, keepdim=True)).float().mean() + distances.shape[1]


def test_a_fault_fails_the_test_that_is_for_it() -> None:
    class Model(ClassifierSuite):
        part = Mixing

    class Pixels(PixelLossSuite):
        part = counting_all

    class Rows(LabelLossSuite):
        part = first_row

    class Detecting(DetectorSuite):
        part = Forgetful

    class Scores(DetectionMetricSuite):
        part = mean_score

    class Farthest(RetrievalMetricSuite):
        part = farthest_is_right

    faults = (
        Detecting().test_images_without_objects_have_finite_losses,
        Detecting().test_in_evaluation_an_image_gives_the_same_alone_and_in_a_batch,
        Scores().test_it_is_a_finite_number_where_nothing_is_found,
        Farthest().test_images_that_are_left_out_do_not_count,
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
