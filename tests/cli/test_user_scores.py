"""Metrics and protocols of a user's file in every task, from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Answer

Ablata = Callable[..., Answer]

SCORES = """
import torch
from torchvision.ops import box_iou


def hit_rate(predictions, truth):
    hits = total = 0
    for found, objects in zip(predictions, truth, strict=True):
        total += int((~objects["crowd"]).sum())
        if len(found["boxes"]) and len(objects["boxes"]):
            hits += int((box_iou(objects["boxes"], found["boxes"]).amax(1) >= 0.5).sum())
        assert len(found["masks"]) == len(found["scores"]) and len(objects["masks"]) == len(objects["labels"])
    return 100 * hits / total


def flipped(network, images):
    found = network([image.flip(-1) for image in images])
    for image, one in zip(images, found, strict=True):
        left, top, right, bottom = one["boxes"].unbind(1)
        width = image.shape[-1]
        one["boxes"] = torch.stack([width - right, top, width - left, bottom], 1)
        one["masks"] = one["masks"].flip(-1)
    return found


def penalty(distances, right):
    order = distances.argsort(dim=1, stable=True)
    hits = right.gather(1, order)
    last = (torch.arange(1, hits.shape[1] + 1) * hits).amax(1)
    return 100 * float((hits.sum(1) / last).mean())


def views(network, images):
    return network(images) + network(images.flip(-1))


def maps(network, images):
    return network(images) + network(images.flip(-1)).flip(-1)


def low(network, images):
    return network(images)[:, :, ::2]


def same(network, images):
    return images


def alone(network):
    return None


def recall(predictions, truth):
    return 0


def word(predictions, truth):
    return "high"
"""
RECIPES = {
    "detect": "relation_rcnn_scenes data.train=16 data.val=4 train.batch=2 train.evaluate_batch=2 train.steps=2",
    "segment": "bisenet_scenes data.train=16 data.val=4 train.batch=4 train.steps=2",
    "reidentify": "reid_scenes schedule.warmup=null data.train=16 data.val=8 train.batch=16 train.steps=2",
    "classify": "digits train.steps=2",
}


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores.py").write_text(SCORES)
    return tmp_path


@pytest.mark.slow
def test_own_metrics_and_protocols_score_and_judge_every_task(scores: Path, ablata: Ablata) -> None:
    for task, change, told in (
        ("detect", "metrics=scores.py:hit_rate judge.name=hit_rate", "val/ap50/hit_rate"),
        ("detect", 'protocols=["scores.py:flipped","ap50"] judge.name=AP50', "val/flipped/mask_AP75"),
        ("segment", 'protocols=["scores.py:maps","ss"]', "val/maps/miou"),
        ("reidentify", "metrics=scores.py:penalty judge.name=penalty", "val/cross_camera/penalty"),
        ("reidentify", 'protocols=["scores.py:views"]', "val/views/mAP"),
        ("classify", 'protocols=["scores.py:views"]', "val/views/top1"),
    ):
        trained = ablata("train", *RECIPES[task].split(), *change.split())
        assert trained.status == 0, f"{task} {change}: {trained.err}"
        assert f"{told} = " in trained.out, change
        (run,) = re.findall(r"runs/(\w+)", trained.err)[-1:]
        moved = (scores / "scores.py").rename(scores / "elsewhere.py")
        scored = ablata("evaluate", run)
        assert scored.status == 0, f"{task} {change}: {scored.err}"
        (value,) = re.findall(f"^{told} = .*$", trained.out, re.MULTILINE)
        assert value in scored.out, f"{task} {change}"
        moved.rename(scores / "scores.py")


@pytest.mark.slow
def test_a_metric_or_protocol_that_returns_something_else_is_refused(scores: Path, ablata: Ablata) -> None:
    for task, change, told in (
        ("detect", "metrics=scores.py:alone", "a function of predictions and truth"),
        ("detect", "metrics=scores.py:recall", "a name that no other score has"),
        ("detect", "metrics=scores.py:word", "must return a number"),
        ("detect", "judge.name=recall", "judge.name must be one of "),
        ("detect", "protocols=scores.py:same", "boxes, labels, scores"),
        ("detect", "protocols=scores.py:alone", "a function of the network and images"),
        ("detect", 'protocols=["scores.py:flipped","scores.py:flipped"]', "each protocol once"),
        ("segment", "protocols=scores.py:low", "logits [B, K, H, W]"),
        ("segment", "protocols=ssd", "must be one of ss"),
        ("reidentify", "protocols=scores.py:same", "features [B, D]"),
        ("reidentify", "judge.name=top1", "judge.name must be one of mAP"),
        ("classify", "protocols=scores.py:same", "logits [B, K]"),
    ):
        answer = ablata("train", *RECIPES[task].split(), *change.split())
        assert answer.status in (1, 2), f"{task} {change}: {answer.out}"
        assert told in answer.err, f"{task} {change}: {answer.err}"
        assert "Traceback" not in answer.err, change
