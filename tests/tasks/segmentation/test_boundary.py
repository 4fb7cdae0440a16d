"""Outlines are scored where they are asked for, beside the pixels, in training and afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ablata.base.settings import settings_hash
from ablata.engine.task import RunContext
from ablata.metrics.boundary import BoundaryScores
from ablata.recipes.index import load_recipe

SMALL = ["data.train=8", "data.val=4", "train.batch=8", "train.evaluate_batch=3", "model.head.width=16"]


def test_outlines_are_scored_with_the_pixels_and_change_no_training(tmp_path: Path) -> None:
    plain, asked = (load_recipe("bisenet_scenes", [*SMALL, *more]) for more in ([], ["boundary=0.03"]))
    assert settings_hash(plain) == settings_hash(asked)
    task = asked.build(0, RunContext(torch.device("cpu"), tmp_path))
    expected = BoundaryScores(11, tolerance=0.03)
    with torch.no_grad():
        model = task.model.eval()
        for batch in task.data.eval_loader("val", 4):  # type: ignore[attr-defined]
            expected.update(task.predict(model, batch.images, "ss"), batch.labels)  # type: ignore[attr-defined]
        scores = task.evaluate(model, "val", "ss")
        examined = task.evaluate_detailed(model, "val")
    assert scores["boundary_f"] == pytest.approx(expected.scores()["boundary_f"])
    assert examined.scores == pytest.approx(scores)
    with torch.no_grad():
        assert "boundary_f" not in plain.build(0, RunContext(torch.device("cpu"), tmp_path)).evaluate(
            model, "val", "ss"
        )
