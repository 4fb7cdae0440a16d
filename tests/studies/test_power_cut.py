"""What a power cut leaves: what reached the disk, which of the ledger is what SQLite or we have waited for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.engine.checkpoints import LAST, load_checkpoint
from ablata.engine.recipe import Recipe
from ablata.records import Ledger, NewRun, RunWriter
from ablata.studies.identity import cache_folder, new_run, record_environment
from ablata.studies.workers.execution import execute
from ablata.studies.workers.worker import StopOnSignal


@pytest.fixture
def disk(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home as a power cut would leave it: the ledger as it was when its log last reached the disk."""
    copy, sync = tmp_path / "disk", os.fsync
    log = Path(f"{ledger.database.path}-wal")

    def reach(handle: int) -> None:
        sync(handle)
        if log.exists() and os.path.samestat(os.fstat(handle), log.stat()):
            copy.mkdir(exist_ok=True)
            for file in (ledger.database.path, log):
                shutil.copy(file, copy)

    monkeypatch.setattr(os, "fsync", reach)
    return copy


def on(disk: Path, run: str) -> list[int]:
    """The steps of a run's curves after the power cut."""
    with Ledger(home=disk) as left:
        return sorted({step for curve in left.metrics.of_runs([run]) for step in curve.steps})


def test_points_reach_the_disk_when_that_is_asked_for(ledger: Ledger, disk: Path) -> None:
    new = NewRun(recipe_name="r", recipe={}, recipe_hash="h", code="c", data="d", seed=0, environment="e")
    with RunWriter.start(ledger, new) as writer:
        writer.metrics([(1, "loss", 0.5)])
        writer.metrics([(2, "loss", 0.4)])
        writer.make_durable()
        writer.metrics([(3, "loss", 0.3)])
        assert on(disk, writer.run.id) == [1, 2]
        writer.finish("completed")


def test_a_checkpoint_never_covers_a_point_that_a_power_cut_would_lose(
    ledger: Ledger, quick: Recipe, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = quick.train.model_copy(update={"log_every": 1, "checkpoint_seconds": 1e-6})
    recipe = quick.model_copy(update={"train": train})
    run = ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger)))
    covered: list[int] = []
    replace: Callable[..., Any] = Path.replace

    def watched(file: Path, target: Path) -> Path:
        if target.name == LAST:
            covered.append(load_checkpoint(file).facts["step"])
            assert on(disk, run.id)[-1] == covered[-1]
        return Path(replace(file, target))

    monkeypatch.setattr(Path, "replace", watched)
    execute(RunWriter.resume(ledger, run.id), recipe, cache_folder(ledger), StopOnSignal())
    assert covered == [1, 2, 3, 4, 5, 6]
