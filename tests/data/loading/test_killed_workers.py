from __future__ import annotations

import os
import signal
import sys

import pytest
from torch.utils.data import DataLoader

from ablata.base.errors import RunError
from ablata.data.loading.killed_workers import killed_in_words


class Deadly:
    """A data set whose third sample ends the process that reads it, as the system does when memory is short."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> int:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index


@pytest.mark.skipif(sys.platform != "linux", reason="torch hears of a killed worker on Linux")
def test_a_killed_worker_process_is_told_with_its_likely_cause_and_how_to_go_on() -> None:
    with pytest.raises(RunError, match=r"DataLoader worker .* memory was short") as told, killed_in_words():
        list(DataLoader(Deadly(), num_workers=1, multiprocessing_context="fork"))  # type: ignore[arg-type]
    assert told.value.do is not None
    assert "data.workers=1" in told.value.do
    assert "goes on" in told.value.do


def test_another_failure_in_a_loader_passes() -> None:
    with pytest.raises(RuntimeError, match="out of range"), killed_in_words():
        raise RuntimeError("index out of range")
