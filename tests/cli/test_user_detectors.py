"""Plain detectors of a user's file, in torchvision's convention, from the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.records import Ledger

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
SCORES = """
from torchvision.ops import box_iou


def hit_rate(predictions, truth):
    pairs = [(one["boxes"], other["boxes"]) for one, other in zip(predictions, truth) if len(other["boxes"])]
    hits = sum(int((box_iou(boxes, found) >= 0.5).any(1).sum()) for found, boxes in pairs if len(found))
    return 100 * hits / sum(len(boxes) for _, boxes in pairs)
"""
SHORT = ["data.train=16", "data.val=4", "train.steps=2", "train.batch=2", "train.evaluate_batch=2"]


@pytest.fixture
def detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detectors.py").write_text(DETECTORS)
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(tmp_path / "image.png")
    return tmp_path


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_study_of_own_detectors_and_an_own_score_survives_kills_and_the_loss_of_their_files(
    detectors: Path, ablata: Ablata, start: Callable[..., subprocess.Popen[str]], home: Path
) -> None:
    (detectors / "scores.py").write_text(SCORES)
    common = [*SHORT, "data.val=6", "train.epochs=null", "train.steps=40", "train.checkpoint_seconds=0.05",
              "schedule.warmup=null", "model=detectors.py:faster", "model.width=4", "compute.threads=1",
              "metrics=scores.py:hit_rate", "judge.name=hit_rate", "judge.unit=%"]  # fmt: skip
    settings = [part for key in common for part in ("--set", key)]
    arms = ["--arm", "wide:model.width=8", "--arm", "middle:model=detectors.py:Middle"]
    asked = ("study", "run", "--recipe", "relation_rcnn_scenes", *settings, *arms,
             "--seeds", "2", "--margin", "20", "--workers", "2")  # fmt: skip
    for name, sign in (("early", "*/code"), ("late", "*/last.safetensors")):
        study = start(*asked, "--name", name)
        while not list((home / "runs").glob(sign)) or not study_owners(home, name):
            assert study.poll() is None, study.communicate()[1]
            time.sleep(0.02)
        for pid in (study.pid, *study_owners(home, name)):
            os.kill(pid, signal.SIGKILL)
        study.wait()
        away = [(detectors / file).rename(detectors / f"away_{file}") for file in ("detectors.py", "scores.py")]
        resumed = ablata("study", "run", name, "--workers", "2")
        assert resumed.status == 0, resumed.err
        assert "scores.py is gone since this was trained: the copy in" in resumed.err
        with Ledger(home=home) as ledger:
            cells = ledger.studies.cells(name)
            found = {(cell.arm, cell.seed): (cell.run.scores or {})["val/ap50/hit_rate"] for cell in cells}
            assert {cell.run.state for cell in cells} == {"completed"}
            assert sum(cell.run.attempt > 1 for cell in cells) >= 1
            run = next(cell.run.id for cell in cells if cell.arm == "wide")
        assert len(found) == 6
        assert "hit_rate" in (home / "reports" / f"{name}.html").read_text()
        os.chdir("/")
        hub = str(detectors / f"hub_{name}")
        for words in (
            ("evaluate", run),
            ("predict", run, str(detectors / "image.png")),
            ("export", run, "--format", "hub", "--output", hub),
            ("predict", hub, str(detectors / "image.png"), "--output", str(detectors / f"found_{name}")),
            ("study", "report", name),
        ):
            answer = ablata(*words)
            assert answer.status == 0, f"{words}: {answer.err}"
        os.chdir(detectors)
        if name == "early":
            first = found
            shutil.rmtree(home)
            for file in away:
                file.rename(detectors / file.name.removeprefix("away_"))
    assert found == first


def study_owners(home: Path, name: str) -> list[int]:
    """Return the processes that train a study's runs."""
    if not (home / "ledger.sqlite3").is_file():
        return []
    with Ledger(home=home) as ledger:
        running = [cell.run for cell in ledger.studies.cells(name) if cell.run.state == "running"]
    return [int(str(run.owner).rpartition(":")[2].partition("/")[0]) for run in running]
