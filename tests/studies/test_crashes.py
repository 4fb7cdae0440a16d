"""Processes killed in the middle of a study, without warning: nothing lost, nothing done twice, the same verdict."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.studies.assess import assess
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.study import Study
from ablata.studies.workers.worker import work

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(home: Path, tmp_path: Path) -> Iterator[Start]:
    """A function that starts the command line; what is left of it at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"said{len(started)}").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "ablata", *arguments], stdout=said, stderr=said, env=os.environ | environment
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def twelve_runs(name: str = "twelve") -> Study:
    """A study of 12 runs of two epochs each, judged once at the end, so that each of them must be trained."""
    control = load_recipe("digits", ["train.epochs=2", "train.checkpoint_seconds=0.05", "train.log_every=2"])
    arms = {"narrow": ("model.width=6",), "slow": ("optim.lr=0.02",), "flip": ("data.augment.flip=true",)}
    return Study(name=name, question="?", control=control, arms=arms, margin=2.0, seeds=3, fixed=True)


def points(ledger: Ledger) -> dict[tuple[str, int, str, int], float]:
    """Every point of every curve of the study, by arm, seed, quantity and step."""
    cells = {cell.run.id: (cell.arm, cell.seed) for cell in ledger.studies.cells("twelve")}
    return {
        (*cells[curve.run], curve.name, step): value
        for curve in ledger.metrics.of_study("twelve")
        for step, value in zip(curve.steps, curve.values, strict=True)
    }


def undisturbed(home: Path) -> tuple[dict[str, Any], dict[tuple[str, int, str, int], float]]:
    """Train the same twelve runs one after the other in this process; return the look at them and their curves."""
    with Ledger(str(home / "undisturbed.sqlite3"), home=home / "undisturbed") as ledger:
        study = twelve_runs()
        create(ledger, study)
        environment = record_environment(ledger)
        for arm, recipe in study.recipes.items():
            for seed in range(study.seeds):
                ledger.studies.enqueue(study.name, arm, new_run(ledger, recipe, seed, environment))
        assert work(ledger, idle_exit=True) == 12
        return assess(ledger, study.name).as_look(), points(ledger)


def workers_of(ledger: Ledger) -> list[int]:
    return [int(str(run.owner).rpartition(":")[2].partition("/")[0]) for run in ledger.runs.find(state="running")]


def wait_until(condition: Callable[[], object], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it in time"
        assert process.poll() is None, "it ended"
        time.sleep(0.02)


def check_nothing_lost_or_doubled(ledger: Ledger, kills: int) -> None:
    cells = ledger.studies.cells("twelve")
    assert len(cells) == len({cell.run.id for cell in cells}) == len(ledger.runs.find()) == 12
    assert {cell.run.state for cell in cells} == {"completed"}
    # Each attempt beyond the first is one that a kill had cut off.
    assert sum(cell.run.attempt for cell in cells) - 12 <= kills
    for curve in ledger.metrics.of_runs([cell.run.id for cell in cells]):
        assert list(curve.steps) == sorted(set(curve.steps))


@pytest.mark.slow
def test_a_killed_parent_leaves_a_study_that_the_same_command_finishes(
    start: Start, ledger: Ledger, home: Path
) -> None:
    create(ledger, twelve_runs())
    first = start("study", "run", "twelve", "--workers", "2")
    wait_until(lambda: ledger.runs.find(state="completed"), first)
    orphans = workers_of(ledger)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start("study", "run", "twelve", "--workers", "2")
    assert second.wait(120) == 0
    for pid in orphans:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    check_nothing_lost_or_doubled(ledger, kills=2)
    assert (ledger.studies.looks("twelve")[-1].result, points(ledger)) == undisturbed(home)


@pytest.mark.slow
def test_two_launchers_of_one_study_share_its_runs(start: Start, ledger: Ledger, home: Path) -> None:
    create(ledger, twelve_runs())
    both = [start("study", "run", "twelve", "--workers", "1") for _ in range(2)]
    assert [one.wait(280) for one in both] == [0, 0]
    check_nothing_lost_or_doubled(ledger, kills=0)
    assert (ledger.studies.looks("twelve")[-1].result, points(ledger)) == undisturbed(home)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_workers_killed_at_random_change_nothing(start: Start, ledger: Ledger, home: Path, seed: int) -> None:
    create(ledger, twelve_runs())
    study = start("study", "run", "twelve", "--workers", "2")
    chance, kills = random.Random(seed), 0
    while study.poll() is None and kills < 6:
        time.sleep(chance.uniform(0.5, 3.0))
        if pids := workers_of(ledger):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)
                kills += 1
    assert study.wait(200) == 0
    assert kills >= 2
    check_nothing_lost_or_doubled(ledger, kills)
    assert (ledger.studies.looks("twelve")[-1].result, points(ledger)) == undisturbed(home)


@pytest.mark.slow
def test_parent_and_workers_killed_again_and_again_change_nothing(start: Start, ledger: Ledger, home: Path) -> None:
    create(ledger, twelve_runs())
    chance, kills = random.Random(5), 0
    for _ in range(4):
        study = start("study", "run", "twelve", "--workers", "2")
        wait_until(lambda: workers_of(ledger), study)
        time.sleep(chance.uniform(0.0, 0.6))
        for pid in [study.pid, *workers_of(ledger)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert study.wait() == -signal.SIGKILL
        kills += 2
    assert start("study", "run", "twelve", "--workers", "2").wait(200) == 0
    check_nothing_lost_or_doubled(ledger, kills)
    assert (ledger.studies.looks("twelve")[-1].result, points(ledger)) == undisturbed(home)


@pytest.mark.postgres
def test_two_workers_share_a_study_on_postgres(
    start: Start, home: Path, postgres_schema: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres_schema("study")
    with Ledger(address, home=home) as ledger:
        create(ledger, twelve_runs())
        assert start("study", "run", "twelve", "--workers", "2", ABLATA_DB=address).wait(200) == 0
        check_nothing_lost_or_doubled(ledger, kills=0)
        assert len({cell.run.owner for cell in ledger.studies.cells("twelve")}) == 2
        assert (ledger.studies.looks("twelve")[-1].result, points(ledger)) == undisturbed(home)
