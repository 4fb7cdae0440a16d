"""A lab home of the test's own, and overrides with which a training takes a blink."""

from __future__ import annotations

from pathlib import Path

import pytest

import ablata


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab home, also for processes that are started, and a working folder."""
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ABLATA_DB", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def quick() -> ablata.Recipe:
    """The digits, a handful of steps."""
    short = {"train": {"epochs": None, "steps": 6, "evaluate_every": 0}, "model.width": 4}
    return ablata.load_recipe("digits", short)
