from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import ablata
from ablata.base.errors import SettingsError
from ablata.trainers.hooks import HOOK_FILE, handed_over, handing_to


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.points: list[tuple[int, Mapping[str, float]]] = []
        self.scores: dict[str, float] = {}

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.points.append((step, values))

    def score(self, values: Mapping[str, float]) -> None:
        self.scores |= values


def test_alone_the_hook_does_nothing_and_loads_next_to_nothing(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom ablata import log, score\nlog(step=1, loss=object())\nscore(acc='good')\n"
        "print([name for name in ('torch', 'numpy', 'pydantic', 'sqlalchemy', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert not list(tmp_path.iterdir())


def test_a_program_of_a_study_leaves_lines_that_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATA_RUN_DIR", str(tmp_path))
    for step in range(3):
        ablata.log(step=step, loss=torch.tensor(1.0 / (step + 1)), rate=np.float32(0.5))
    ablata.score(acc=0.5)
    ablata.score(acc=np.array([0.75]).sum(), f1=float("nan"))
    lines = (tmp_path / HOOK_FILE).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines[:3]] == [0, 1, 2]
    points, scores = handed_over([*lines, "", "{", "[]", '{"step": 1}', '{"step": 9, "log": {"loss": "x"}}', '{"sc'])
    assert [point for point in points if point[1] == "rate"] == [(0, "rate", 0.5), (1, "rate", 0.5), (2, "rate", 0.5)]
    assert len(points) == 6
    assert scores["acc"] == 0.75
    assert scores["f1"] != scores["f1"]


def test_a_folder_that_is_gone_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATA_RUN_DIR", str(tmp_path / "gone"))
    ablata.log(step=0, loss=1.0)
    assert not list(tmp_path.iterdir())


def test_a_sink_takes_what_its_block_and_its_threads_hand_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATA_RUN_DIR", str(tmp_path))
    kept = Kept()
    with handing_to(kept):
        ablata.log(step=4, loss=2)
        thread = threading.Thread(target=ablata.score, kwargs={"acc": 1})
        thread.start()
        thread.join()
    assert kept.points == [(4, {"loss": 2.0})]
    assert kept.scores == {"acc": 1.0}
    assert not list(tmp_path.iterdir())
    ablata.score(acc=2)
    assert kept.scores == {"acc": 1.0}


def test_what_is_no_number_is_told(subtests: pytest.Subtests) -> None:
    for call in (
        lambda: ablata.log(step=1, loss="high"),  # type: ignore[arg-type]
        lambda: ablata.log(step=-1, loss=1.0),
        lambda: ablata.log(step="one", loss=1.0),  # type: ignore[arg-type]
        lambda: ablata.log(step=float("nan"), loss=1.0),
        lambda: ablata.score(acc=[0.5, 0.6]),  # type: ignore[arg-type]
        lambda: ablata.score(acc=torch.zeros(2)),
    ):
        with subtests.test(), handing_to(Kept()), pytest.raises(SettingsError, match="number"):
            call()
