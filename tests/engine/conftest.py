"""Small trainings in this process, and what they told and left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ablata.base.errors import StoppedError
from ablata.base.overrides import override
from ablata.data.classification.digits import Digits
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.engine.checkpoints import BEST, LAST, Checkpoint, load_checkpoint
from ablata.engine.optim.optimisers import Sgd
from ablata.engine.recipe import Compute, Train
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.train import TrainResult, train
from ablata.models.classification.digits_net import DigitsNet
from ablata.models.classification.small_resnet import CifarResNet
from ablata.structures.batch import ImageBatch
from ablata.tasks.classification.task import Classify, ClassifyTask


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Small models on one thread: more threads wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Listener(Reporter):
    """Keeps everything it is told; asks to stop after a given step."""

    def __init__(self, stop_after: int | None, reason: str) -> None:
        self.stop_after, self.reason = stop_after, reason
        self.facts: dict[str, Any] = {}
        self.rows: list[MetricRow] = []
        self.events: list[tuple[str, str, str]] = []
        self.step = 0

    def start(self, facts: dict[str, Any]) -> None:
        self.facts, self.step = facts, facts["step"]

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        self.rows += rows

    def event(self, level: str, kind: str, text: str) -> None:
        self.events.append((level, kind, text))

    def stop_reason(self) -> str | None:
        self.step += 1
        return self.reason if self.step == self.stop_after else None

    def curve(self, name: str) -> dict[int, float]:
        return {step: value for step, key, value in self.rows if key == name}

    def said(self, kind: str) -> list[str]:
        return [text for _, found, text in self.events if found == kind]


@dataclass
class Trained:
    """A training that ended, or was stopped (then without an outcome)."""

    folder: Path
    listener: Listener
    outcome: TrainResult | None

    def last(self) -> Checkpoint:
        return load_checkpoint(self.folder / LAST)

    def best(self) -> Checkpoint:
        return load_checkpoint(self.folder / BEST)


@pytest.fixture
def training(tmp_path: Path, shared_cache: Path) -> Callable[..., Trained]:
    """Return `training(recipe, folder, seed, stop_after)`; what a fault raises comes out, and `heard` has the rest."""

    def go(
        recipe: Classify,
        folder: str = "run",
        seed: int = 3,
        stop_after: int | None = None,
        reason: str = "asked",
        fork: str | None = None,
    ) -> Trained:
        listener = Listener(stop_after, reason)
        heard.append(listener)
        try:
            begun = None if fork is None else tmp_path / fork
            outcome = train(recipe, seed, tmp_path / folder, shared_cache, listener, fork=begun)
        except StoppedError:
            outcome = None
        return Trained(tmp_path / folder, listener, outcome)

    heard: list[Listener] = []
    go.heard = heard  # type: ignore[attr-defined]
    return go


@pytest.fixture
def digits() -> Callable[..., Classify]:
    """Return `digits("key=value", ...)`: nine steps an epoch, two epochs, a training of tenths of a second."""

    def make(*overrides: str) -> Classify:
        recipe = Classify(
            data=Digits(val=1650, augment=Augment(pad=1)),
            model=DigitsNet(width=4),
            train=Train(epochs=2, batch=16, log_every=1, checkpoint_seconds=1000),
            optim=Sgd(lr=0.05, momentum=0.9, weight_decay=1e-3),
            compute=Compute(precision="fp32", channels_last=False, threads=1),
        )
        return override(recipe, overrides)

    return make


@pytest.fixture
def streets() -> Callable[..., Classify]:
    """Return `streets("key=value", ...)`: a ResNet of 8 layers on synthetic images of 16 x 16, six steps an epoch."""

    def make(*overrides: str) -> Classify:
        recipe = Classify(
            data=Scenes(train=100, val=40, streets=Streets(height=16, width=16)),
            model=CifarResNet(depth=8, width=4),
            train=Train(epochs=2, batch=16, log_every=1, checkpoint_seconds=1000),
            compute=Compute(precision="fp32", threads=1),
        )
        return override(recipe, overrides)

    return make


Change = Callable[[dict[str, Tensor], nn.Module, int], dict[str, Tensor]]


@pytest.fixture
def sabotage(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Return `sabotage(change)`: the loss terms of every step go through `change(terms, model, step)`."""

    def apply(change: Change) -> None:
        plain_loss, plain_augment = ClassifyTask.loss, ClassifyTask.augment
        now = {"step": 0}

        def augment(self: ClassifyTask, batch: ImageBatch, step: int) -> ImageBatch:
            now["step"] = step
            return plain_augment(self, batch, step)

        def loss(self: ClassifyTask, model: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
            return change(plain_loss(self, model, batch), self.model, now["step"])

        monkeypatch.setattr(ClassifyTask, "augment", augment)
        monkeypatch.setattr(ClassifyTask, "loss", loss)

    return apply
