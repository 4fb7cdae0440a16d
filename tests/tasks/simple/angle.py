"""An image regression as a user would write it: by which angle a digit was rotated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ablata.base.metric import Metric
from ablata.data.classification.digits import Digits
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.recipe import Compute, Train
from ablata.tasks.simple import SimpleRecipe


class RotatedDigits(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, split: str, count: int, cache: Path) -> None:
        data = Digits().build(cache)
        batch = next(iter(data.eval_loader(split, count)))
        self.images, self.train = batch.images, split == "train"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        angle = torch.rand(()) * 90 if self.train else torch.tensor(90.0 * row / len(self))
        radians = torch.deg2rad(angle)
        turn = torch.tensor([[radians.cos(), -radians.sin(), 0.0], [radians.sin(), radians.cos(), 0.0]])
        grid = functional.affine_grid(turn[None], [1, 1, 8, 8], align_corners=False)
        return functional.grid_sample(self.images[row][None], grid, align_corners=False)[0], angle / 90


class Angle(SimpleRecipe):
    width: int = 32
    noise: float = 0.0

    def build_model(self) -> nn.Module:
        layers = [nn.Flatten(), nn.Linear(64, self.width), nn.ReLU(), nn.Dropout(self.noise), nn.Linear(self.width, 1)]
        return nn.Sequential(*layers, nn.Flatten(0))

    def build_datasets(self, cache: Path) -> Mapping[str, Any]:
        return {"train": RotatedDigits("train", 256, cache), "val": RotatedDigits("val", 60, cache)}

    def compute_loss(self, outputs: Tensor, batch: Any) -> Tensor:
        return functional.mse_loss(outputs, batch[1])

    def compute_metrics(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        return {"mae": 90 * (outputs - batch[1]).abs()}

    def metric(self) -> Metric:
        return Metric("mae", higher_is_better=False, unit="degrees")

    def describe(self, output: Tensor) -> dict[str, Any]:
        return {"angle": round(90 * float(output), 1)}


def angle() -> Angle:
    """Predict by which angle a digit was rotated."""
    return Angle(
        train=Train(epochs=2, batch=32, evaluate_batch=25),
        optim=Sgd(lr=0.05),
        compute=Compute(precision="fp32", channels_last=False, threads=1),
    )
