"""Plain detectors of a user's file, in torchvision's convention, from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Answer

Ablata = Callable[..., Answer]

DETECTORS = """
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign


def parts(width, **pools):
    body = nn.Sequential(nn.Conv2d(3, width, 3, 4, 1), nn.BatchNorm2d(width), nn.ReLU())
    body.out_channels = width
    anchors = AnchorGenerator(((9, 16, 24),), ((1.0,),))
    counts = {f"rpn_post_nms_top_n_{mode}": 20 for mode in ("train", "test")}
    pools = {name: MultiScaleRoIAlign(["0"], side, 1) for name, side in pools.items()}
    return {"backbone": body, "min_size": 64, "max_size": 128, "rpn_anchor_generator": anchors} | counts | pools


def faster(num_classes, width: int = 8):
    return FasterRCNN(num_classes=num_classes, **parts(width, box_roi_pool=5))


def mask(num_classes, width: int = 8):
    return MaskRCNN(num_classes=num_classes, **parts(width, box_roi_pool=5, mask_roi_pool=7))


class Middle(nn.Module):
    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.conv, self.linear = nn.LazyConv2d(width, 3, 4), nn.LazyLinear(num_classes)

    def forward(self, images, targets=None):
        assert all(0 <= float(image.min()) and float(image.max()) <= 1 for image in images)
        logits = self.linear(torch.stack([self.conv(image[None]).mean((0, 2, 3)) for image in images]))
        if self.training:
            assert all(int(target["labels"].min()) >= 1 for target in targets if len(target["labels"]))
            labels = torch.stack([target["labels"][:1].sum() for target in targets])
            return {"class": nn.functional.cross_entropy(logits, labels)}
        scores, labels = logits.softmax(1)[:, 1:].max(1, keepdim=True)
        box = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
        return [{"boxes": box, "labels": one + 1, "scores": score} for one, score in zip(labels, scores)]


class Silent(Middle):
    def forward(self, images, targets=None):
        return {} if self.training else super().forward(images)


class Outside(Middle):
    def forward(self, images, targets=None):
        found = super().forward(images, targets)
        return found if self.training else [one | {"labels": one["labels"] + 50} for one in found]


class Flat(Middle):
    def forward(self, images, targets=None):
        found = super().forward(images, targets)
        return found if self.training else [one | {"boxes": one["boxes"][0]} for one in found]


class Alone(Middle):
    def forward(self, images, targets=None):
        found = super().forward(images, targets)
        return found if self.training else found[0]
"""
SHORT = ["data.train=16", "data.val=4", "train.steps=2", "train.batch=2", "train.evaluate_batch=2"]


@pytest.fixture
def detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detectors.py").write_text(DETECTORS)
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(tmp_path / "image.png")
    return tmp_path


def test_a_plain_detector_trains_is_scored_predicts_and_is_exported_after_its_file_moved(
    detectors: Path, ablata: Ablata
) -> None:
    for number, change in enumerate(
        (
            "model=detectors.py:faster model.width=4",
            "model=detectors.py:mask model.masks=true",
            "model=detectors.py:Middle",
        )
    ):
        trained = ablata("train", "relation_rcnn_scenes", *change.split(), *SHORT)
        assert trained.status == 0, f"{change}: {trained.err}"
        assert ("val/ap50/mask_AP" in trained.out) == ("masks" in change), change
        (run,) = re.findall(r"runs/(\w+)", trained.err)[-1:]
        moved = (detectors / "detectors.py").rename(detectors / "elsewhere.py")
        scored = ablata("evaluate", run, "--json")
        assert scored.status == 0, f"{change}: {scored.err}"
        assert json.loads(scored.out), change
        hub = f"hub{number}"
        for words in (
            ("predict", run, "image.png"),
            ("export", run, "--format", "hub", "--output", hub),
            ("predict", hub, "image.png", "--output", f"found{number}"),
        ):
            answer = ablata(*words)
            assert answer.status == 0, f"{change}, {words}: {answer.err}"
        moved.rename(detectors / "detectors.py")


def test_what_a_plain_detector_returns_wrong_is_said_before_the_first_step(detectors: Path, ablata: Ablata) -> None:
    for change, told in {
        "model=detectors.py:Silent": "dict of scalar losses in training",
        "model=detectors.py:Outside": "labels from 1 to 7",
        "model=detectors.py:Flat": "boxes [N, 4]",
        "model=detectors.py:Alone": "a list with a dict for each image",
        "model=detectors.py:Middle model.masks=true": "model.masks=false",
        "model=detectors.py:Middle model.width=wide": "model.width must be a whole number",
        "model=detectors.py:DETECTORS": "must define DETECTORS",
        'model=detectors.py:Middle protocols=["ap50@64"]': "a detector that proposes boxes",
    }.items():
        answer = ablata("train", "relation_rcnn_scenes", *change.split(), *SHORT)
        assert answer.status in (1, 2), f"{change}: {answer.out}"
        assert told in answer.err, f"{change}: {answer.err}"
        assert "Traceback" not in answer.err, change
