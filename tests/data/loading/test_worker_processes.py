from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import DataLoader

from ablata.base.errors import RunError
from ablata.data.loading.file_reader import _end
from ablata.data.loading.worker_processes import begin_worker, killed_in_words, read_all

DEADLY = """
import os, signal, time
from torch.utils.data import DataLoader
from ablata.base.errors import RunError
from ablata.data.loading.worker_processes import killed_in_words

class Deadly:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

try:
    with killed_in_words(), killed_in_words():
        for value in DataLoader(Deadly(), num_workers=1, multiprocessing_context="fork"):
            time.sleep(0.01)
except RunError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="torch hears of a killed worker on Linux")
def test_a_killed_worker_process_is_told_with_its_likely_cause_and_how_to_go_on() -> None:
    # In a process of its own: torch raises wherever the program is when it hears of the death.
    said = subprocess.run([sys.executable, "-c", DEADLY], capture_output=True, text=True, check=False, timeout=120)
    assert "must live as long as the training" in said.stdout, said.stderr
    assert "memory was short" in said.stdout
    assert "data.workers=1" in said.stdout
    assert "another recipe, which begins anew" in said.stdout


def test_a_process_that_hangs_is_told_with_its_likely_cause() -> None:
    # A fork of a process with threads may hang by itself, which is told alike.
    loader = DataLoader(_Hanging(), num_workers=1, timeout=0.2, multiprocessing_context="fork")  # type: ignore[arg-type,var-annotated]
    with pytest.raises(RunError, match=r"timed out after 0\.2 seconds; most often a disk") as told:
        list(read_all(loader))
    assert "data.workers=0" in str(told.value)


class _Hanging:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        time.sleep(60)
        return index


def test_a_death_heard_of_while_a_loader_is_let_go_is_silent() -> None:
    def heard() -> None:
        raise RuntimeError(said)

    loader: Any = SimpleNamespace(_iterator=SimpleNamespace(_shutdown_workers=heard))
    said = "DataLoader worker (pid 7) is killed by signal: Killed."
    _end(loader)
    said = "another failure"
    with pytest.raises(RuntimeError, match=said):
        _end(loader)


@pytest.mark.parametrize("error", [RuntimeError("index out of range"), ConnectionResetError("a server's"), EOFError()])
def test_another_failure_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as told, killed_in_words():
        raise error
    assert told.value is error


def test_an_interrupt_that_comes_while_workers_start_does_not_end_them() -> None:
    loader = DataLoader(range(4), num_workers=2, worker_init_fn=_interrupted_begin, multiprocessing_context="fork")  # type: ignore[arg-type,var-annotated]
    assert [int(value) for value in read_all(loader)] == [0, 1, 2, 3]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _interrupted_begin(worker: int) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGHUP)
    begin_worker(worker)
