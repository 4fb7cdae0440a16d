"""A task of a user's own file from the command line: trained, scored, predicted with, exported, studied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Answer

Ablata = Callable[..., Answer]
EXAMPLE = Path(__file__).parents[1] / "tasks" / "simple" / "angle.py"
QUICK = ("train.epochs=null", "train.steps=4", "compute.threads=1")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a user's file with a recipe of a task of its own."""
    (tmp_path / "code").mkdir()
    file = tmp_path / "code" / "mine.py"
    file.write_text(EXAMPLE.read_text())
    return file


@pytest.mark.slow
def test_a_run_of_it_is_scored_predicts_and_is_exported_from_another_folder(
    ablata: Ablata, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own.parent)
    answer = ablata("train", "mine.py:angle", *QUICK, "width=8", "--json")
    assert answer.status == 0, answer.err
    run = str(json.loads(answer.out)["run"])
    monkeypatch.chdir(tmp_path)
    scored = ablata("evaluate", run)
    assert (scored.status, "val/plain/mae = " in scored.out) == (0, True), scored.err
    assert "confused" not in scored.out
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"broken")
    told = ablata("predict", run, str(tmp_path / "a.png"), "--json", "--output", str(tmp_path / "sheet.png"))
    assert told.status == 0, told.err
    assert 'angle"' in told.out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 100
    assert ablata("predict", run, str(tmp_path / "bad.png")).status == 1
    for form in ("pt2", "hub"):
        answer = ablata("export", run, "--format", form, "--output", str(tmp_path / f"out.{form}"))
        assert answer.status == 0, answer.err
    assert json.loads(ablata("predict", str(tmp_path / "out.hub"), str(tmp_path / "a.png"), "--json").out) | {} == (
        json.loads(ablata("predict", run, str(tmp_path / "a.png"), "--json").out)
    )
    assert ablata("runs", "show", run, "--output", str(tmp_path / "page.html")).status == 0
    page = (tmp_path / "page.html").read_text()
    assert "data:image/jpeg;base64," in page


def test_what_fails_in_it_is_told_with_its_line_before_anything_is_recorded(
    ablata: Ablata, own: Path, subtests: pytest.Subtests
) -> None:
    broken = {
        "        return len(self.": "        raise KeyError('samples')\n        return len(self.",
        "        angle = torch.rand": "        angle = missing.rand",
        "[nn.Flatten(), nn.Linear(64": "[nn.Flatten(), nn.Linear(65",
    }
    study = ("--recipe", "PART", "--arm", "wide:width=9", "--seeds", "3", "--margin", "1")
    for number, (before, after) in enumerate(broken.items()):
        file = own.parent / f"broken{number}.py"
        assert before in EXAMPLE.read_text(), before
        file.write_text(EXAMPLE.read_text().replace(before, after))
        for command in (("train", "PART", *QUICK), ("study", "plan", *study), ("study", "run", *study)):
            with subtests.test(before, command=command[:2]):
                answer = ablata(*(word.replace("PART", f"{file}:angle") for word in command))
                assert (answer.status, "Traceback" in answer.err) == (2, False), answer.err
    assert ablata("recipes", "show", f"{own.parent}/broken2.py:angle").status == 2
    assert json.loads(ablata("runs", "list", "--json").out) == []


@pytest.mark.slow
def test_a_study_of_it_ends_in_a_verdict(ablata: Ablata, own: Path) -> None:
    answer = ablata(
        "study", "run", "--recipe", f"{own}:angle", *(part for key in QUICK for part in ("--set", key)),
        "--arm", "wide:width=64", "--seeds", "2", "--margin", "5", "--workers", "1",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    assert "wide" in answer.out
