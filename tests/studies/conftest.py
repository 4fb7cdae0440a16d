"""A ledger, a recipe that trains in a blink, and runs that end with given scores without being trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ablata.engine.recipe import Recipe
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.studies.launch import create
from ablata.studies.study import Study

KEY = "val/plain/top1"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab home, also for processes that are started."""
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ABLATA_DB", raising=False)
    return tmp_path / "home"


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger(home=home) as opened:
        yield opened


@pytest.fixture
def quick() -> Recipe:
    """The digits, a handful of steps."""
    return load_recipe("digits", ["train.epochs=null", "train.steps=6", "train.evaluate_every=0", "model.width=4"])


@pytest.fixture
def make_study(quick: Recipe) -> Callable[..., Study]:
    """A function that returns a study of `quick`; keywords replace its parts."""

    def build(**parts: Any) -> Study:
        arms = {"wide": ("model.width=6",), "slow": ("optim.lr=0.01",)}
        return Study(**{"name": "asked", "question": "?", "control": quick, "arms": arms, "margin": 1.0, **parts})

    return build


@pytest.fixture
def recorded(ledger: Ledger, make_study: Callable[..., Study]) -> Callable[..., Study]:
    """A function that puts such a study into the ledger."""

    def build(**parts: Any) -> Study:
        study = make_study(**parts)
        create(ledger, study)
        return study

    return build


@pytest.fixture
def end_run(ledger: Ledger) -> Callable[..., None]:
    """A function that ends a waiting run with a score, or as diverged for None."""

    def end(run: RunRow, score: float | None, **scores: float) -> None:
        claim = ledger.leases.claim_run(run.id, "tester:0", 60)
        if score is None:
            ledger.leases.finish(run.id, claim.attempt, "diverged", error="the loss is not finite")
        else:
            found: Mapping[str, float] = {KEY: score, **scores}
            cost = {"seconds": 2.0, "peak_memory_bytes": 1e8}
            ledger.leases.finish(run.id, claim.attempt, "completed", scores=dict(found), cost=cost)

    return end
