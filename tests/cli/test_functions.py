"""Functions in a file of the user's own as arms of a study, from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ablata as lab

QUALITY = """
import random, time
import ablata

def noise(*numbers):
    return random.Random(repr(numbers)).gauss(0, 0.1)

def train(seed: int, width: int = 64, sleep: float = 0.0, device: str = "cuda:0"):
    with open("calls.txt", "a") as file:
        file.write(f"{seed} {width}\\n")
    for step in range(3):
        time.sleep(sleep / 3)
        ablata.log(step=step, loss=1 / (step + 1))
    return {"acc": 90 + seed + width / 16 + noise(seed, width)}

def other(seed: int):
    raise RuntimeError("the network blew up")

def study():
    arms = {"wide": {"width": 128}, "broken": other}
    return ablata.Study(name="width", question="Does width help?", control=train, arms=arms, seeds=4, margin=0.5)

def slow():
    return ablata.Study(name="slow", question="?", control=train, arms={"wide": {"width": 128, "sleep": 1.2}}, seeds=3)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quality.py").write_text(QUALITY)
    return tmp_path


def calls(folder: Path) -> list[str]:
    return sorted((folder / "calls.txt").read_text().splitlines())


@pytest.mark.slow
def test_a_study_of_functions_is_run_by_workers_reported_and_carried_away(
    folder: Path, home: Path, ablata: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = ablata("study", "run", "quality.py:study", "--workers", "2")
    assert done.status == 0, done.err
    assert "wide is better by" in done.out
    assert "broken failed in each of its 2 runs" in done.out
    page = (home / "reports" / "width.html").read_text()
    assert "the network blew up (quality.py, line" in page
    assert "loss" in page
    again = ablata("study", "run", "quality.py:study")
    assert "is finished" in again.err
    assert calls(folder) == sorted(f"{seed} {width}" for seed in range(4) for width in (64, 128))[: len(calls(folder))]
    assert " width=128" in ablata("runs", "list").out
    assert ablata("study", "plan", "quality.py:study").status == 0
    (folder / "quality.py").write_text(QUALITY.replace("width / 16", "-width / 16"))
    edited = ablata("study", "run", "quality.py:study")
    assert edited.status == 2
    assert "another" in edited.err
    assert "wide is worse by" in ablata("study", "run", "quality.py:study", "--name", "edited", "--workers", "2").out
    before = calls(folder)
    assert ablata("study", "export", "width", "width.ablata").status == 0
    monkeypatch.setenv("ABLATA_HOME", str(folder / "elsewhere"))
    assert ablata("study", "import", "width.ablata").status == 0
    assert "wide is better by" in ablata("study", "report", "width").out
    assert calls(folder) == before, "nothing was called"


def test_an_imported_study_that_is_not_finished_calls_nothing_unless_it_is_trusted(
    folder: Path, ablata: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "quality.py").write_text(QUALITY.replace('raise RuntimeError("the network blew up")', "exit_now()"))
    sys.modules.pop("quality", None)
    with lab.Ledger() as ledger:
        from ablata.studies import create, load_study

        create(ledger, load_study("quality.py:study"))
    assert ablata("study", "export", "width", "width.ablata").status == 0
    monkeypatch.setenv("ABLATA_HOME", str(folder / "elsewhere"))
    assert ablata("study", "import", "width.ablata").status == 0
    refused = ablata("study", "run", "width")
    assert refused.status == 2
    assert "only if you trust it" in refused.err
    assert "quality.py:train" in refused.err
    assert not (folder / "calls.txt").exists()


@pytest.mark.slow
def test_a_killed_study_of_functions_goes_on_and_loses_and_doubles_nothing(
    folder: Path, home: Path, ablata: Callable[..., Any]
) -> None:
    command = [sys.executable, "-m", "ablata", "study", "run", "quality.py:slow", "--workers", "2"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as process:
        while not (folder / "calls.txt").exists() or len(calls(folder)) < 4:
            assert process.poll() is None
            time.sleep(0.05)
        workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        for number in (process.pid, *map(int, workers.stdout.split())):
            os.kill(number, signal.SIGKILL)
    killed = len(calls(folder))
    done = ablata("study", "run", "quality.py:slow", "--workers", "2")
    assert done.status == 0, done.err
    assert "wide is better by" in done.out
    states = [row["state"] for row in lab.runs(study="slow")]
    assert states == ["completed"] * 6
    assert killed <= len(calls(folder)) <= 8, "only what was cut off was called again"


def test_an_interrupted_study_of_functions_waits_and_goes_on(
    folder: Path, ablata: Callable[..., Any], start: Callable[..., subprocess.Popen[str]]
) -> None:
    (folder / "quality.py").write_text(QUALITY.replace('"sleep": 1.2', '"sleep": 300.0'))
    process = start("study", "run", "quality.py:slow", "--workers", "1")
    while not (folder / "calls.txt").exists() or not any("128" in call for call in calls(folder)):
        assert process.poll() is None
        time.sleep(0.05)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - began < 20, "the function was interrupted"
    assert "go on with: ablata study run slow" in said
    assert {row["state"] for row in lab.runs(study="slow")} <= {"completed", "stopped", "waiting"}


def test_a_study_of_functions_that_lived_in_a_notebook_is_told_where_to_ask_again(
    folder: Path, ablata: Callable[..., Any]
) -> None:
    def typed(seed: int, width: int = 64) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.compare(typed, {"wide": {"width": 128}}, seeds=3, name="typed")
    said = ablata("study", "run", "typed")
    assert said.status == 2
    assert "can be called there alone" in said.err
    assert ablata("study", "status", "typed").status == 0


def test_an_arm_is_told_by_its_arguments_and_another_function_by_its_name(folder: Path) -> None:
    from ablata.studies import load_study

    study = load_study("quality.py:study")
    assert study.change("wide") == ("width: 64 -> 128",)
    assert study.change("broken") == ("function: train -> other",)
