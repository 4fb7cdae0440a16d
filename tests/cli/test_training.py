from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablata.engine import checkpoints
from ablata.records import Ledger

QUICK = ("train.epochs=null", "train.steps=6", "train.evaluate_every=0", "model.width=4")
LONG = ("train.epochs=null", "train.steps=1000000", "train.log_every=1", "model.width=4")
Ablata = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]


def test_a_training_prints_its_scores_and_an_equal_one_only_repeats_them(ablata: Ablata, home: Path) -> None:
    first = ablata("train", "digits", *QUICK)
    assert first.status == 0
    assert "val/plain/top1 = " in first.out
    assert "images/s, peak memory" in first.err
    again = ablata("train", "digits", *QUICK)
    assert again.status == 0
    assert again.out == first.out
    assert "has ended already" in again.err
    with Ledger(home=home) as ledger:
        (run,) = ledger.runs.find()
    assert (run.attempt, (home / run.folder / "recipe.txt").exists()) == (1, True)


def test_a_run_too_short_to_time_names_no_rate(ablata: Ablata) -> None:
    told = ablata("train", "digits", *QUICK, "train.steps=2").err
    assert "peak memory" in told
    assert "images/s" not in told


def test_another_seed_is_another_run_and_json_says_all(ablata: Ablata, home: Path) -> None:
    first = json.loads(ablata("train", "digits", *QUICK, "--json").out)
    second = json.loads(ablata("train", "digits", *QUICK, "--seed", "1", "--json").out)
    assert (first["state"], second["seed"]) == ("completed", 1)
    assert first["run"] != second["run"]
    assert [run["id"] for run in json.loads(ablata("runs", "list", "--json").out)] == [second["run"], first["run"]]
    shown = json.loads(ablata("runs", "show", first["run"][:5], "--json").out)
    assert shown["settings"]["model"]["width"] == 4
    assert first["run"] in ablata("runs", "show", first["run"]).out
    compared = ablata("runs", "compare", first["run"], second["run"], "--output", "both.html")
    assert compared.status == 0
    assert Path("both.html").read_text().startswith("<!")
    assert json.loads(ablata("runs", "compare", first["run"], second["run"], "--json").out)
    evaluated = ablata("evaluate", first["run"], "--save-predictions", "out/p.npz")
    assert evaluated.status == 0
    with np.load("out/p.npz", allow_pickle=False) as saved:
        assert saved["logits"].shape == (500, 10)
    scores = json.loads(ablata("evaluate", first["run"], "--json").out)["scores"]
    assert scores == pytest.approx(first["scores"], abs=1e-5)


def test_a_diverged_training_exits_with_1_and_says_why(ablata: Ablata) -> None:
    answer = ablata("train", "digits", *QUICK, "optim.lr=1e30")
    assert answer.status == 1
    assert "diverged" in answer.out
    assert "finite" in answer.out


def test_a_run_goes_on_only_with_its_own_settings(ablata: Ablata, home: Path) -> None:
    run = json.loads(ablata("train", "digits", *QUICK, "--json").out)["run"]
    with Ledger(home=home) as ledger, ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET state = 'failed'")
    refused = ablata("train", "--resume", run, "optim.lr=0.5")
    assert refused.status == 2
    assert "only where things are and how fast may change" in refused.err
    assert ablata("train", "--resume", run, "train.evaluate_batch=100").status == 0


def test_a_run_that_is_trained_elsewhere_is_told_with_its_worker(ablata: Ablata, home: Path) -> None:
    run = json.loads(ablata("train", "digits", *QUICK, "--json").out)["run"]
    with Ledger(home=home) as ledger:
        with ledger.database.write() as connection:
            connection.exec_driver_sql("UPDATE runs SET state = 'waiting'")
        ledger.leases.claim_run(run, "otherhost:77", 60)
    answer = ablata("train", "digits", *QUICK)
    assert answer.status == 2
    assert f"run {run} is running at otherhost:77" in answer.err


def started(process: subprocess.Popen[str], home: Path, attempt: int = 1) -> str:
    """Wait until an attempt at a training has taken steps; return its run."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        if (home / "ledger.sqlite3").exists():
            with Ledger(home=home) as ledger:
                for run in ledger.runs.find(state="running"):
                    if run.attempt == attempt and run.progress and run.progress["step"] > 3:
                        return run.id
        time.sleep(0.1)
    raise AssertionError("no step in a minute")


def test_an_interrupt_saves_and_says_how_to_go_on(start: Start, home: Path) -> None:
    process = start("train", "digits", *LONG)
    run = started(process, home)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "stopping after this step" in said
    assert f"go on with: ablata train --resume {run}" in said
    assert "Traceback" not in said
    with Ledger(home=home) as ledger:
        row = ledger.runs.get(run)
    assert row.state == "waiting"
    assert (home / row.folder / "last.safetensors").exists()


IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.executable, [sys.executable, "-m", "ablata", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_terminal_that_hangs_up_ends_a_training_that_is_saved(home: Path) -> None:
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, "train", "digits", *LONG], stdin=its, stdout=its, stderr=its, text=True
    )
    os.close(its)
    hang_up = threading.Event()

    def watch() -> None:
        """Read what is shown, as a terminal does, until it is closed."""
        while not hang_up.is_set():
            if select.select([ours], [], [], 0.05)[0]:
                os.read(ours, 65536)
        os.close(ours)

    (terminal := threading.Thread(target=watch)).start()
    try:
        run = started(process, home)
        hang_up.set()
        assert process.wait(60) == 1
    finally:
        hang_up.set()
        terminal.join()
        process.kill()
        process.wait()
    with Ledger(home=home) as ledger:
        row = ledger.runs.get(run)
    assert row.state == "waiting"
    assert "everything is saved" in str(row.stop_reason)
    assert (home / row.folder / "last.safetensors").exists()


def test_a_disk_that_fills_is_told_with_the_run_that_goes_on_once_there_is_room(
    ablata: Ablata, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, writes = checkpoints.save_file, []

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        writes.append(path)
        if len(writes) > 3:
            raise OSError(28, "No space left on device")
        plain(tensors, path, metadata=metadata)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "save_file", full)
        answer = ablata("train", "digits", *QUICK, "train.checkpoint_seconds=1e-9")
    assert answer.status != 0
    assert "No space left on device" in answer.err
    assert "has room" in answer.err
    with Ledger(home=home) as ledger:
        (run,) = ledger.runs.find(state="failed")
    assert f"ablata train --resume {run.id}" in answer.err
    assert ablata("train", "--resume", run.id).status == 0
    with Ledger(home=home) as ledger:
        again = ledger.runs.get(run.id)
    assert (again.state, again.attempt) == ("completed", 2)


def test_a_killed_training_is_taken_up_at_once_by_the_same_command(start: Start, home: Path) -> None:
    process = start("train", "digits", *LONG, "train.checkpoint_seconds=0.01")
    run = started(process, home)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = start("train", "digits", *LONG, "train.checkpoint_seconds=0.01")
    assert started(again, home, attempt=2) == run
    again.send_signal(signal.SIGINT)
    again.send_signal(signal.SIGINT)
    _, said = again.communicate(timeout=30)
    assert again.returncode != 0
    assert "Traceback" not in said


def test_a_chain_of_rounds_prints_each_beside_its_teacher(ablata: Ablata, home: Path) -> None:
    taught = ablata("train", "digits", *QUICK, "refine=refinement", "refine.rounds=2")
    assert taught.status == 0
    table = taught.out[taught.out.index("round ") :].splitlines()
    assert len(table) == 4
    assert "beside its teacher" not in table[1]
    assert all("beside its teacher" in line for line in table[2:])
    with Ledger(home=home) as ledger:
        last, middle, first = ledger.runs.find()
    assert (last.parent, middle.parent, first.parent) == (middle.id, first.id, None)
    again = json.loads(ablata("train", "digits", *QUICK, "refine=refinement", "refine.rounds=2", "--json").out)
    assert again["run"] == last.id


def test_a_chain_ends_with_a_teacher_that_diverged(ablata: Ablata, home: Path) -> None:
    ended = ablata("train", "digits", *QUICK, "optim.lr=1e9", "refine=refinement")
    assert ended.status == 1
    with Ledger(home=home) as ledger:
        assert [run.state for run in ledger.runs.find()] == ["diverged"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("refine=refinement", "refine.start=/nowhere"), "no file /nowhere"),
        (("refine=refinement", "refine.teacher=online"), "label_weight"),
        (("label_subset=label_subset", "label_subset.file=/nowhere.json"), "/nowhere.json"),
        (("label_subset=label_subset", "label_subset.per_class=1000"), "class 0 has"),
    ],
)
def test_a_wrong_teacher_or_list_is_refused_before_the_first_step(
    ablata: Ablata, home: Path, changes: tuple[str, ...], words: str
) -> None:
    answer = ablata("train", "digits", *QUICK, *changes)
    assert answer.status == 2
    assert words in answer.err
    with Ledger(home=home) as ledger:
        assert ledger.runs.find() == []
