"""Plain parts of a user's file from the command line: each trains, and what is wrong with one is said at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from .conftest import Answer

Ablata = Callable[..., Answer]

PARTS = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset
from torchvision.transforms import v2


class Net(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(in_channels, width, 3), nn.Linear(width, num_classes)

    def forward(self, images):
        return self.linear(self.conv(images).relu().mean((2, 3)))


class Lazy(nn.Sequential):
    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__(nn.LazyConv2d(width, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(num_classes))


class Named(Net):
    def forward(self, images):
        return {"logits": super().forward(images), "more": images}


class Odd(Net):
    def forward(self, images):
        return [super().forward(images)]


class Softmax(Net):
    def forward(self, images):
        return super().forward(images).softmax(1)


class Few(Net):
    def forward(self, images):
        return super().forward(images)[:, :3]


class Listed(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = [nn.Linear(64, num_classes)]

    def forward(self, images):
        return self.layers[0](images.flatten(1))


class Leaves(Net):
    def __init__(self, num_classes: int) -> None:
        raise SystemExit(3)


class Broken(Net):
    def forward(self, images):
        return self.linear(images)


def segmenter(num_classes, in_channels, width: int = 8):
    return nn.Sequential(nn.Conv2d(in_channels, width, 3, 4, 1), nn.ReLU(), nn.Conv2d(width, num_classes, 1))


def softmax_segmenter(num_classes, in_channels):
    return nn.Sequential(segmenter(num_classes, in_channels), nn.Softmax(1))


def lazy_segmenter(num_classes, width: int = 4):
    return nn.Sequential(nn.LazyConv2d(width, 3, 4, 1), nn.ReLU(), nn.LazyConv2d(num_classes, 1))


def poly(logits, labels, epsilon: float = 1.0):
    loss = functional.cross_entropy(logits, labels, reduction="none")
    return loss + epsilon * (1 - torch.exp(-loss))


def table(logits, labels):
    return logits


class Tversky(nn.Module):
    def __init__(self, alpha: float = 0.5, ignore_index: int = 255) -> None:
        super().__init__()
        self.alpha, self.ignore_index = alpha, ignore_index

    def forward(self, logits, labels):
        kept = (labels != self.ignore_index)[:, None]
        truth = functional.one_hot(labels.where(kept[:, 0], 0), logits.shape[1]).movedim(-1, 1) * kept
        found = logits.softmax(1) * kept
        hits = (found * truth).sum((0, 2, 3))
        extra, missed = found.sum((0, 2, 3)) - hits, truth.sum((0, 2, 3)) - hits
        return 1 - ((hits + 1) / (hits + self.alpha * extra + (1 - self.alpha) * missed + 1)).mean()


def ramp(progress, power: float = 1.0):
    return (1 - progress) ** power


class Halves(Dataset):
    classes = ("left", "right")

    def __init__(self, split: str, count: int = 64) -> None:
        self.random, self.count = np.random.default_rng(len(split)), count

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        image = np.zeros((8, 8), np.uint8)
        image[:, 4 * (row % 2) : 4 * (row % 2) + 4] = 200
        return image, row % 2


def quarters(split: str):
    generator = np.random.default_rng(len(split))
    images = [generator.integers(0, 255, (16, 16, 3), dtype=np.uint8) for _ in range(8)]
    return [(image, (image[..., 0] > 127).astype(np.uint8)) for image in images]


def herd(split: str):
    cows = range(8) if split == "train" else range(8, 12)
    return [(np.full((16, 16), 9 * cow + camera, np.uint8), (cow, camera)) for cow in cows for camera in range(2)]


def squares(split: str):
    target = {"boxes": [[4, 4, 20, 20]], "labels": [0]}
    return [(np.full((32, 32, 3), 20 * row, np.uint8), target) for row in range(4)]


def bright(split: str):
    return [(np.full((4, 4), 3.0), 0)]


def dim(image, amount: float = 0.5):
    return (image * (1 - amount * torch.rand(()))).to(torch.uint8)


def as_float(image):
    return image.float()


def turned(image, target, degrees: float = 20):
    return v2.RandomRotation(degrees)(image, target)


def without_target(image, target):
    return image


def share_right(probabilities, labels):
    return (probabilities.argmax(1) == labels).float().mean()


def every(probabilities, labels):
    return labels


def only_all(probabilities, labels):
    if len(labels) < 500:
        raise ValueError("a class is missing")
    return 1.0


def only_none(probabilities, labels):
    raise ZeroDivisionError


class Unread(Halves):
    def __getitem__(self, row):
        if row == 3:
            raise OSError("the disk is gone")
        return super().__getitem__(row)


class Stuck(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("stuck")


def twice(network, images):
    return network(images) * 2


def mish(x):
    return x * functional.softplus(x).tanh()
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(PARTS)
    return tmp_path


@pytest.mark.slow
def test_each_kind_of_plain_part_trains(parts: Path, ablata: Ablata) -> None:
    short = "train.steps=3 train.batch=16"
    for change in (
        "digits model=parts.py:Net model.width=3",
        "digits model=parts.py:Named",
        "digits model=parts.py:Lazy ema=true",
        "bisenet_scenes model=parts.py:lazy_segmenter data.train=32 data.val=8",
        "digits loss=parts.py:poly loss.epsilon=2",
        "digits optim=torch.optim:Adagrad optim.lr=0.01",
        "digits schedule=parts.py:ramp schedule.power=2",
        "digits data=parts.py:Halves data.count=32",
        "digits data.augment.transform=parts.py:dim data.augment.transform.amount=0.2",
        "relation_rcnn_scenes data.augment.transform=parts.py:turned data.train=32 data.val=8",
        "digits metrics=parts.py:share_right judge.name=share_right protocols=plain,parts.py:twice",
        "digits model.activation=parts.py:mish",
        "bisenet_scenes model=parts.py:segmenter data.train=32 data.val=8",
        "bisenet_scenes model=parts.py:segmenter data.train=32 data.val=8 loss=parts.py:Tversky loss.alpha=0.7",
    ):
        answer = ablata("train", *change.split(), *short.split())
        assert answer.status == 0, f"{change}: {answer.err}"


def test_a_network_that_ends_in_a_softmax_is_told_before_the_first_step(parts: Path, ablata: Ablata) -> None:
    scenes = "bisenet_scenes data.train=32 data.val=8 model=parts.py"
    for change, warned in (
        ("digits model=parts.py:Softmax", True),
        ("digits model=parts.py:Net", False),
        (f"{scenes}:softmax_segmenter", True),
        (f"{scenes}:segmenter", False),
    ):
        answer = ablata("train", *change.split(), "train.steps=2", "train.batch=16")
        assert answer.status == 0, f"{change}: {answer.err}"
        told = "look like probabilities: all lie in 0..1 and sum to 1" in answer.err
        assert told == warned, f"{change}: {answer.err}"


def test_a_network_with_lazy_modules_is_exported_as_it_was_scored(parts: Path, ablata: Ablata) -> None:
    trained = ablata("train", "digits", "model=parts.py:Lazy", "train.steps=3")
    (run,) = re.findall(r"runs/(\w+)", trained.err)[-1:]
    for words in (
        ("evaluate", run),
        ("export", run, "--format", "hub", "--output", "hub"),
        ("export", run, "--format", "pt2", "--output", "lazy.pt2"),
    ):
        answer = ablata(*words)
        assert answer.status == 0, f"{words}: {answer.err}"


def test_a_network_trained_on_a_data_set_of_the_users_predicts_image_files(parts: Path, ablata: Ablata) -> None:
    Image.new("RGB", (32, 32)).save(parts / "image.png")
    detector = "model.masks=null train.batch=2"
    for change in (
        "bisenet_scenes model=parts.py:segmenter data=parts.py:quarters data.augment.crop=null train.batch=4",
        f"relation_rcnn_scenes data=parts.py:squares {detector}",
        "reid_scenes data=parts.py:herd data.height=16 data.width=16 train.batch=8",
    ):
        trained = ablata("train", *change.split(), "train.epochs=null", "train.steps=1", "schedule.warmup=null")
        assert trained.status == 0, f"{change}: {trained.err}"
        (run,) = re.findall(r"runs/(\w+)", trained.err)[-1:]
        answer = ablata("predict", run, "image.png")
        assert answer.status == 0, f"{change}: {answer.err}"
        assert "image.png: " in answer.out


def test_what_is_wrong_with_a_part_is_said_before_the_first_step(parts: Path, ablata: Ablata) -> None:
    for change, told in {
        "model=parts.py:Odd": "must return its logits, or a dict",
        "model=parts.py:Few": "one logit a class",
        "model=parts.py:Broken": "parts.py, line",
        "model=parts.py:poly": "model.logits must be given",
        "model=parts.py:Net model.width=wide": "model.width must be a whole number",
        "loss=parts.py:table": "one loss a row",
        "data=parts.py:bright": "float in [0, 1]",
        "data=parts.py:segmenter": "must take split",
        "data=parts.py:quarters": "ndarray uint8 of shape (16, 16)",
        "data.augment.transform=parts.py:as_float": "same shapes and dtypes",
        "metrics=parts.py:share_wrong": "must define share_wrong",
        "judge.name=share_right": "judge.name must be one of top1",
        "optim=parts.py:Net": "torch.optim.Optimizer",
        "schedule=parts.py:Net": "function of the progress",
        "model=parts.py": "name what is in it: model=parts.py:CLASS",
        "model=parts.py:Listed": "a list hides them",
        "model=parts.py:Leaves": "parts.py, line",
        "loss=torch.nn:MSELoss": "fit the first batch",
        "data=parts.py:Unread": "give item 3 of train",
        "metrics=parts.py:every": "a metric must return a number",
        "metrics=parts.py:only_none": "score the first samples",
        "optim=parts.py:Stuck": "stuck",
        "optim=torch.optim:LBFGS": "fit the first batch",
    }.items():
        answer = ablata("train", "digits", *change.split(), "train.steps=3")
        assert answer.status in (1, 2), f"{change}: {answer.out}"
        assert told.lower() in answer.err.lower(), f"{change}: {answer.err}"
        assert "Traceback" not in answer.err, change
    assert "no runs" in ablata("runs", "list").out + ablata("runs", "list").err
    answer = ablata("train", "digits", "metrics=parts.py:only_all", "train.steps=3")
    assert answer.status == 0, answer.err
