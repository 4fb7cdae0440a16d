"""A user's task of one class: trained, resumed, scored, predicted with, exported, from the command line too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from ablata.base.errors import DataError, SettingsError, StoppedError
from ablata.base.metric import Metric
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.records.run_folder.gallery import read_gallery
from ablata.tasks.inference.hub import export_hub, load_exported
from ablata.tasks.inference.load import from_checkpoint
from ablata.tasks.inference.onnx_pt2 import export_pt2
from ablata.tasks.simple import SimpleRecipe, samples
from ablata.tasks.simple.samples import CollatedBatch, known_samples_digest, samples_digest

FILE = Path(__file__).with_name("angle.py")
REFERENCE = f"{FILE}:angle"
CPU = torch.device("cpu")


def recipe(*overrides: str) -> Any:
    return load_recipe(REFERENCE, overrides)


def context(cache: Path, rank: int = 0, world_size: int = 1) -> RunContext:
    return RunContext(CPU, cache, ProcessGroup(rank, world_size), channels_last=False)


def test_it_learns_and_its_predictions_are_drawn(tmp_path: Path, shared_cache: Path) -> None:
    made = recipe("train.epochs=30")
    outcome = train(made, 0, tmp_path / "run", shared_cache)
    assert set(outcome.scores) == {"val/plain/loss", "val/plain/mae"}
    assert outcome.scores["val/plain/mae"] < 15
    gallery = read_gallery(tmp_path / "run")
    assert gallery is not None
    assert len(gallery.images) == 6
    assert "angle " in gallery.images[0].caption
    assert "target 0" in gallery.images[0].caption


def test_a_resumed_training_ends_as_one_that_was_not_stopped(tmp_path: Path, shared_cache: Path) -> None:
    made = recipe("train.steps=12", "noise=0.2")
    whole = train(made, 3, tmp_path / "whole", shared_cache)

    class StopAtFive(Reporter):
        steps = 0

        def stop_reason(self) -> str | None:
            self.steps += 1
            return "asked" if self.steps == 5 else None

    with pytest.raises(StoppedError, match="Stopped after step 5"):
        train(made, 3, tmp_path / "parts", shared_cache, reporter=StopAtFive())
    assert train(made, 3, tmp_path / "parts", shared_cache).scores == whole.scores


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_share_each_batch_and_workers_read_the_same(workers: int, shared_cache: Path) -> None:
    whole = next(recipe().build(3, context(shared_cache)).batches(5, 6)).values
    parts = [
        next(recipe(f"workers={workers}").build(3, context(shared_cache, rank, 2)).batches(5, 6)).values
        for rank in range(2)
    ]
    for position in range(2):
        torch.testing.assert_close(torch.cat([part[position] for part in parts]), whole[position], rtol=0, atol=0)


def test_every_sample_counts_once_whatever_the_batch(shared_cache: Path) -> None:
    task = recipe("train.evaluate_batch=7").build(3, context(shared_cache))
    other = recipe("train.evaluate_batch=60").build(3, context(shared_cache))
    other.model.load_state_dict(task.model.state_dict())
    scores = [one.evaluate(one.model.eval(), "val", "plain") for one in (task, other)]
    assert scores[0]["mae"] == pytest.approx(scores[1]["mae"], rel=1e-6)
    with pytest.raises(DataError, match="must be one of train, val"):
        task.evaluate(task.model, "minival", "plain")


def test_reading_a_sample_leaves_the_generators_as_they_were(shared_cache: Path) -> None:
    task = recipe().build(3, context(shared_cache))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    next(task.batches(0, 1))
    assert torch.equal(torch.rand(1), expected)


def test_it_predicts_and_is_exported(tmp_path: Path, shared_cache: Path) -> None:
    train(recipe("train.steps=2"), 0, tmp_path / "run", shared_cache)
    model = from_checkpoint(tmp_path / "run", find_code=lambda tree: None)
    model.facts["recipe"]["name"] = "angle"
    assert export_hub(model, tmp_path / "hub") == 0
    back = load_exported(tmp_path / "hub", lambda tree, code: None)
    assert torch.equal(back.outputs(back.example(3)), model.outputs(model.example(3)))
    assert export_pt2(model, tmp_path / "out.pt2") < 1e-5
    assert "network of the task Angle" in (tmp_path / "hub" / "README.md").read_text()


def test_the_fingerprint_is_that_of_the_samples() -> None:
    rows = [(torch.tensor([1.0, 2.0]), {"label": 3}), (torch.tensor([0.0, 2.0]), {"label": 1})]
    changed = [rows[0], (torch.tensor([0.0, 2.0]), {"label": 2})]
    assert samples_digest(rows) == samples_digest(list(rows)) != samples_digest(changed)
    with pytest.raises(DataError, match="map-style"):
        samples_digest([])
    with pytest.raises(DataError, match="a generator"):
        samples_digest(row for row in rows)


class Counted(list[Tensor]):
    """Samples that count how often they are read."""

    reads = 0

    def __getitem__(self, row: Any) -> Any:
        type(self).reads += 1
        return super().__getitem__(row)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_only_what_is_slow_to_read_is_read_once_and_what_was_made_anew_again(
    monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(samples, "_QUICK_SECONDS", seconds)
    monkeypatch.setattr(samples, "_SLOW", {})
    monkeypatch.setattr(Counted, "reads", 0)
    dataset = Counted(torch.arange(3000.0).split(1))
    first = known_samples_digest(dataset, "code and arguments")
    whole = Counted.reads
    assert whole >= 3000
    assert known_samples_digest(dataset, "code and arguments") == first == samples_digest(dataset)
    again = Counted.reads - whole - 3000
    assert again < 100 if seconds == 0 else again >= 3000
    assert known_samples_digest(Counted(torch.arange(1.0, 3001.0).split(1)), "code and arguments") != first


def test_parts_of_a_batch_are_its_samples_in_order() -> None:
    batch = CollatedBatch((torch.arange(7), {"a": torch.arange(14).view(7, 2)}))
    parts = batch.chunk(3)
    assert [len(part) for part in parts] == [2, 2, 3]
    assert torch.equal(torch.cat([part.values[0] for part in parts]), torch.arange(7))


class Wrong(SimpleRecipe):
    """A task with one mistake."""

    mistake: str = ""

    def build_model(self) -> nn.Module:
        network = nn.Linear(3 if self.mistake == "input" else 2, 1)
        return cast(nn.Module, "a network") if self.mistake == "class" else network

    def build_datasets(self, cache: Path) -> dict[str, Any]:
        rows = [(torch.zeros(2), torch.zeros(1))] * 8
        return {"train": rows} if self.mistake == "splits" else {"train": rows, "val": rows}

    def compute_loss(self, outputs: Tensor, batch: Any) -> Tensor:
        return (outputs - batch[1]) if self.mistake == "loss" else (outputs - batch[1]).square().mean()

    def compute_metrics(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:
        error = (outputs - batch[1]).abs()
        return {"mean" if self.mistake == "name" else "mae": error.mean() if self.mistake == "metric" else error}

    def metric(self) -> Metric:
        return Metric("mae", higher_is_better=False, unit="")

    def describe(self, output: Any) -> Any:
        return {"number": 1.5, "tensor": {"angle": output}}.get(self.mistake, {"angle": float(output)})


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("number", "describe must return a dict\n  found: float"),
        ("tensor", "numbers, texts and lists\n  found: .*Tensor is not JSON"),
        ("class", "build_model must return an nn.Module\n  found: Wrong returned a str"),
        ("input", "must take a batch\n  found: RuntimeError: .*mat1 and mat2"),
        ("loss", "compute_loss must return scalars"),
        ("metric", "a value for each of the 2 samples"),
        ("name", "metric must name one of loss, mean"),
        ("splits", "must return train and val\n  found: train"),
    ],
)
def test_a_mistake_is_told_before_the_first_step(mistake: str, words: str, tmp_path: Path) -> None:
    made = Wrong(mistake=mistake, train=recipe().train.model_copy(update={"batch": 4}), compute=recipe().compute)
    with pytest.raises((SettingsError, DataError), match=words):
        train(made, 0, tmp_path / "run", tmp_path / "cache")
