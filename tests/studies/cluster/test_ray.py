from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablata.records import Ledger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="pip install 'ablata[ray]'"),
]

PROGRAM = """
import random, sys, time
seed, extra = int(sys.argv[1]), float(sys.argv[2])
time.sleep(4)
print("acc:", 90 + extra + random.Random(seed).random())
"""


def test_a_study_on_ray_ends_alike_when_a_worker_and_the_driver_are_killed(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    asked = [sys.executable, "-m", "ablata", "study", "run", "--command", "python train.py {seed} {extra}"]
    asked += ["--set", "extra=0", "--arm", "more:extra=5", "--seeds", "5", "--margin", "1", "--score", "acc"]
    asked += ["--name", "asked", "--ray", "--workers", "2"]
    environment = os.environ | {"ABLATA_HOME": str(tmp_path / "home")}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(asked, cwd=tmp_path, env=environment, start_new_session=True)

    def running(ledger: Ledger) -> list[int]:
        rows = ledger.runs.find(state="running")
        return [int(row.owner.rpartition(":")[2]) for row in rows if row.owner]

    first = start()
    end = time.monotonic() + 240
    while not (tmp_path / "home" / "ledger.sqlite3").exists() and time.monotonic() < end:
        time.sleep(0.5)
    with Ledger(f"sqlite:///{tmp_path / 'home' / 'ledger.sqlite3'}") as ledger:
        while not (found := running(ledger)) and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(found[0], signal.SIGKILL)
        while len(ledger.runs.find(state="completed")) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert start().wait(280) == 0
        runs = ledger.runs.find()
        assert {run.state for run in runs} <= {"completed", "cancelled"}
        assert len({(run.recipe_hash, run.seed) for run in runs}) == len(runs)
        assert {arm.name: arm.verdict for arm in ledger.studies.arms("asked")}["more"] == "better"
