"""A training of several processes ends in words when one of them dies, and goes on from its last checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablata.base.errors import StoppedError
from ablata.engine.hardware.process_group import lost_process_in_words
from ablata.records import Ledger

LONGEST_SECONDS = 60
TRAINING = ["train", "digits", "train.epochs=60", "train.checkpoint_seconds=0.1", "compute.device=cpu"]


def test_the_loss_of_a_connection_is_told_and_other_errors_pass() -> None:
    with pytest.raises(StoppedError, match="another one ended"), lost_process_in_words():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:4287")
    with pytest.raises(RuntimeError, match="shapes"), lost_process_in_words():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def ranks_of(launcher: int) -> list[int]:
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return sorted(int(child) for child in children)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_others_and_the_run_goes_on(rank: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ablata"]
    environ = os.environ | {"ABLATA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen([*torchrun, *TRAINING], env=environ, stdout=log, stderr=log) as launcher,
    ):
        until = time.monotonic() + 240
        while not list(home.glob("runs/*/last.safetensors")):
            assert time.monotonic() < until
            assert launcher.poll() is None
            time.sleep(0.2)
        os.kill(ranks_of(launcher.pid)[rank], signal.SIGKILL)
        killed = time.monotonic()
        assert launcher.wait(240) != 0
        assert time.monotonic() - killed < LONGEST_SECONDS
    with Ledger(home=home) as ledger:
        (run,) = ledger.runs.find()
        if rank == 1:
            assert run.state == "waiting"
            assert f"ablata train --resume {run.id}" in (tmp_path / "log").read_text()
        # One process goes on with what two began.
        command = [sys.executable, "-m", "ablata", "train", "--resume", run.id]
        alone = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert alone.returncode == 0, alone.stderr
        assert ledger.runs.get(run.id).state == "completed"
