"""The networks for large images inside a task: first weights, temperatures that follow the steps, exact resuming."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ablata.base.errors import CheckpointError, StoppedError
from ablata.base.overrides import override
from ablata.data.classification.digits import Digits
from ablata.engine.optim.ema import Ema
from ablata.engine.recipe import Compute, Train
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.models.backbones.resnet import ResNet
from ablata.nn.annealing import temperatures
from ablata.nn.convolutions import DynamicConv
from ablata.nn.gates import SqueezeExcite
from ablata.tasks.classification.task import Classify
from ablata.tasks.networks import start_classifier, weights_mark

COOLING = ResNet(
    depth=18,
    width=4,
    conv=DynamicConv(kernels=2, anneal_steps=6),
    attention=SqueezeExcite(temperature=30, anneal_steps=4),
)
RECIPE = Classify(
    data=Digits(),
    model=COOLING,
    train=Train(steps=5, batch=16, evaluate_every=0),
    ema=Ema(decay=0.9),
    compute=Compute(precision="fp32", channels_last=False, threads=1),
)


def trained(folder: Path, *overrides: str, reporter: Reporter | None = None) -> dict[str, torch.Tensor]:
    train(override(RECIPE, overrides), 0, folder, folder.parent / "cache", reporter)
    return load_file(folder / "last.safetensors")


class StopAt(Reporter):
    """Asks to stop once a step is done."""

    def __init__(self, step: int) -> None:
        self.left = step

    def stop_reason(self) -> str | None:
        self.left -= 1
        return "user" if self.left == 0 else None


def counts(state: dict[str, torch.Tensor]) -> set[int]:
    return {
        int(value) for name, value in state.items() if name.startswith("model/") and name.endswith("temperature.step")
    }


@pytest.mark.parametrize("accumulate", [1, 4])
def test_temperatures_count_optimiser_steps_not_forward_passes(accumulate: int, tmp_path: Path) -> None:
    state = trained(tmp_path / "run", f"train.accumulate={accumulate}", "train.evaluate_every=0.01")
    assert counts(state) == {5}


def test_a_stopped_training_goes_on_at_its_temperature_to_the_same_bits(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(StoppedError):
        trained(tmp_path / "parts", reporter=StopAt(2))
    assert counts(load_file(tmp_path / "parts" / "last.safetensors")) == {2}
    resumed = trained(tmp_path / "parts")
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_a_moving_average_leaves_the_counts_alone(tmp_path: Path) -> None:
    assert not any("temperature" in name for name in trained(tmp_path / "run") if name.startswith("ema/"))


def test_every_temperature_of_the_task_is_found(tmp_path: Path) -> None:
    task = RECIPE.build(0, RunContext(torch.device("cpu"), tmp_path))
    found = temperatures(task.model)
    gates = [module.start for module in found]
    assert (len(gates), set(gates)) == (8 + 19, {30.0})
    task.after_step(0)
    assert {int(module.step) for module in found} == {1}


@pytest.fixture
def begun() -> Callable[..., torch.nn.Module]:
    def build(settings: Any, classes: int = 5) -> torch.nn.Module:
        torch.manual_seed(0)
        return start_classifier(settings, classes, 3, lambda count: torch.zeros(count, 3, 8, 8))

    return build


def test_a_network_begins_with_the_weights_of_its_file(begun: Callable, tmp_path: Path) -> None:
    torch.manual_seed(4)
    source = ResNet(depth=18, width=4).build(5)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = begun(ResNet(depth=18, width=4, weights=str(tmp_path / "w.safetensors")))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())


def test_the_fingerprint_tells_files_of_weights_apart(tmp_path: Path) -> None:
    plain = RECIPE.data_fingerprint(tmp_path / "cache")
    assert weights_mark(COOLING) == ""
    marks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_file({"x": torch.randn(3)}, tmp_path / "w.safetensors")
        marks.append(override(RECIPE, [f"model.weights={tmp_path}/w.safetensors"]).data_fingerprint(tmp_path / "cache"))
    assert all(mark.startswith(f"{plain}-") for mark in marks)
    assert marks[0] != marks[1]


def test_a_missing_file_of_weights_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no file"):
        trained(tmp_path / "run", "model.weights=/nowhere.safetensors")
