"""How many files of the package a new part touches: written into a copy of it, and trained for a step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ablata

LOSS = """
from typing import Literal

from torch import Tensor

from ablata.losses.classification.base import LabelLoss, LabelLossSettings


class Brier(LabelLossSettings):
    kind: Literal["brier"] = "brier"
    power: float = 2.0

    def build(self) -> LabelLoss:
        return BrierLoss(self)


class BrierLoss(LabelLoss):
    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits.softmax(1) - target).abs().pow(self.settings.power).sum(1)
"""
BACKBONE = """
from typing import Literal

from torch import Tensor, nn

from ablata.models.backbones.base import Backbone, BackboneModule


class Ladder(Backbone):
    kind: Literal["ladder"] = "ladder"
    width: int = 4

    def build_backbone(self, channels: int) -> BackboneModule:
        return LadderModule(self, channels)


class LadderModule(BackboneModule):
    def __init__(self, settings: Ladder, channels: int) -> None:
        super().__init__()
        names = ("stage1", "stage2", "stage3")
        self.widths, self.strides = dict.fromkeys(names, settings.width), dict(zip(names, (2, 4, 8)))
        inputs = (channels, settings.width, settings.width)
        self.rungs = nn.ModuleList(nn.Conv2d(count, settings.width, 3, 2, 1) for count in inputs)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        outputs = {}
        for name, rung in zip(self.widths, self.rungs):
            x = outputs[name] = rung(x).relu()
        return outputs
"""
MODEL = """
from typing import Literal

from torch import Tensor, nn

from ablata.models.backbones.base import Classifier


class Linear(Classifier):
    kind: Literal["linear"] = "linear"

    def build(self, classes: int, channels: int) -> nn.Module:
        return LinearModel(classes)


class LinearModel(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classifier = nn.LazyLinear(classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.classifier(images.flatten(1))}
"""
DATA = """
from pathlib import Path
from typing import Literal

from ablata.data.classification.digits import Digits
from ablata.data.loading.dataset import ClassificationSettings, NominalShape
from ablata.data.loading.in_memory import InMemoryDataset
from ablata.data.transforms.classification import Augment


class Halves(ClassificationSettings):
    kind: Literal["halves"] = "halves"
    augment: Augment = Augment()

    def nominal_shape(self) -> NominalShape:
        return Digits().nominal_shape()

    def build(self, cache: Path) -> InMemoryDataset:
        return Digits(val=900).build(cache)
"""
TASK = """
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ablata.base.metric import Metric
from ablata.tasks.simple import SimpleRecipe


class Regress(SimpleRecipe):
    task: Literal["regress"] = "regress"

    def build_model(self) -> nn.Module:
        return nn.Linear(3, 1)

    def build_datasets(self, cache: Path) -> dict[str, Any]:
        x = torch.linspace(0, 1, 96).reshape(32, 3)
        return {"train": TensorDataset(x, x.sum(1)), "val": TensorDataset(x, x.sum(1))}

    def compute_loss(self, outputs: Tensor, batch: Any) -> Tensor:
        return (outputs[:, 0] - batch[1]).square().mean()

    def compute_metrics(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        return {"mae": (outputs[:, 0] - batch[1]).abs()}

    def metric(self) -> Metric:
        return Metric("mae", higher_is_better=False)
"""
RECIPE = """
from ablata.engine.recipe import Train
from ablata.tasks.regress.task import Regress


def regress() -> Regress:
    \"\"\"Predict a sum.\"\"\"
    return Regress(train=Train(epochs=1, batch=8, evaluate_batch=8))
"""
PROGRAM = """
import ablata

STEP = ["train.epochs=null", "train.steps=1", "compute.threads=1"]
for recipe, *changes in (
    ("digits", "loss=brier", "loss.power=1.5", "loss.smoothing=0.1"),
    ("digits", "model=pyramid", "model.backbone=ladder", "model.width=8"),
    ("digits", "model=linear"),
    ("digits", "data=halves"),
    ("regress",),
):
    print(next(iter(ablata.train(recipe, overrides=[*changes, *STEP], progress=False).scores)))
"""
LINE = '    "regress": "ablata.tasks.regress.task:Regress",\n'


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of the package's folder, which the commands of a test import."""
    folder = tmp_path / "source" / "ablata"
    shutil.copytree(Path(ablata.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_a_new_part_is_one_file_and_a_new_task_one_folder_and_one_line(package: Path, tmp_path: Path) -> None:
    for name, text in {
        "losses/classification/brier.py": LOSS,
        "models/backbones/ladder.py": BACKBONE,
        "models/classification/linear.py": MODEL,
        "data/classification/halves.py": DATA,
        "tasks/regress/__init__.py": "",
        "tasks/regress/task.py": TASK,
        "recipes/catalogue/regress.py": RECIPE,
    }.items():
        file = package / name
        assert not file.exists(), name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    tasks = package / "tasks" / "any.py"
    tasks.write_text(tasks.read_text().replace("_TASKS = {\n", "_TASKS = {\n" + LINE))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=250,
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(package.parent), "ABLATA_HOME": str(tmp_path / "lab")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("val/plain/") == 5, done.stdout
