"""Each task trains, resumes and predicts on a GPU as on the processor; the processor's own cases are slow ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from ablata.base.errors import StoppedError
from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.train import TrainResult, train
from ablata.recipes.index import load_recipe

DEVICES = [pytest.param("cuda", marks=pytest.mark.cuda), pytest.param("cpu", marks=pytest.mark.slow)]
SHORT = ["train.epochs=null", "train.steps=6", "train.log_every=1", "train.evaluate_every=0", "schedule.warmup=null"]
SCENES = ["data.train=16", "data.val=8", "train.batch=8"]
TRAININGS = {
    "digits": ["train.batch=64"],
    "resnet8_scenes": SCENES,
    "bisenet_scenes": SCENES,
    "contrast_scenes": SCENES,
    "relation_rcnn_scenes": SCENES,
    "reid_scenes": [],
    "refined digits": ["train.batch=64", "refine=refinement", "refine.rounds=1"],
}


class Points(Reporter):
    """Keeps the points of the curves; stops after a step where it is told to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.rows: dict[tuple[int, str], float] = {}
        self.stop_after = stop_after

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        self.rows |= {(step, name): value for step, name, value in rows}

    def stop_reason(self) -> str | None:
        done = max((step for step, _ in self.rows), default=0)
        return "asked" if self.stop_after is not None and done >= self.stop_after else None


def trained(
    name: str, device: str, folder: Path, precision: str = "fp32", stop_after: int | None = None
) -> tuple[TrainResult | None, dict[tuple[int, str], float]]:
    settings = [*SHORT, *TRAININGS[name], f"compute.device={device}", f"compute.precision={precision}"]
    recipe, cache, points = load_recipe(name.split()[-1], settings), folder.parent / "cache", Points(stop_after)
    teacher = recipe.parent()
    before = folder.with_name(f"{folder.name}-teacher") if teacher else None
    if teacher and before:
        train(teacher, 0, before, cache)
    try:
        return train(recipe, 0, folder, cache, points, parent=before), points.rows
    except StoppedError:
        return None, points.rows


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAININGS)
def test_losses_are_those_of_the_processor(name: str, device: str, tmp_path: Path) -> None:
    outcome, found = trained(name, device, tmp_path / "here")
    _, expected = trained(name, "cpu", tmp_path / "processor")
    losses = {key: value for key, value in expected.items() if key[0] <= 3 and "gradient_norm" not in key[1]}
    assert losses
    assert {key: found[key] for key in losses} == pytest.approx(losses, rel=0.01, abs=1e-4)
    assert outcome is not None
    assert outcome.scores
    assert all(math.isfinite(value) for value in outcome.scores.values())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAININGS)
def test_a_stopped_training_goes_on_where_it_was(name: str, device: str, tmp_path: Path) -> None:
    trained(name, device, tmp_path / "whole")
    trained(name, device, tmp_path / "pieces", stop_after=3)
    assert load_checkpoint(tmp_path / "pieces" / LAST).facts["step"] == 3
    trained(name, device, tmp_path / "pieces")
    whole, pieces = (load_checkpoint(tmp_path / one / LAST).groups["model"] for one in ("whole", "pieces"))
    # On a GPU, sums by atomic additions differ in their order.
    bound = 0.0 if device == "cpu" else 0.01
    for key, tensor in whole.items():
        difference = (tensor.double() - pieces[key].double()).norm()
        assert difference <= bound * tensor.double().norm() + (0 if device == "cpu" else 1e-6), key


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", TRAININGS)
def test_half_precisions_give_losses_near_those_of_fp32(name: str, precision: str, device: str, tmp_path: Path) -> None:
    if device == "cpu" and precision == "fp16":
        pytest.skip("fp16 needs a GPU")
    _, found = trained(name, device, tmp_path / "half", precision)
    _, expected = trained(name, device, tmp_path / "whole")
    losses = {key: value for key, value in expected.items() if key[0] == 1 and "gradient_norm" not in key[1]}
    assert {key: found[key] for key in losses} == pytest.approx(losses, rel=0.05, abs=0.01)


@pytest.mark.cuda
def test_a_gpu_is_there() -> None:
    assert torch.cuda.is_available()
