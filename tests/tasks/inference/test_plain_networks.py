"""A network that is a plain module of the user's file is built again from its checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.tasks.inference.load import from_checkpoint

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width: int = 8):
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, num_classes))

    def forward(self, images):
        return self.network(images)
"""


def test_all_its_weights_may_lie_below_one_name(tmp_path: Path, shared_cache: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    recipe = load_recipe("digits", [f"model={tmp_path / 'net.py'}:Net", "train.steps=2", "train.evaluate_every=0"])
    train(recipe, 0, tmp_path / "run", shared_cache)
    predictor = from_checkpoint(tmp_path / "run", find_code=lambda tree: None)
    assert predictor.outputs(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
