"""Two processes with a contrast: what each adds reaches the memory of both, and a checkpoint holds it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ablata.engine.checkpoints import LAST, load_checkpoint

PROCESS = Path(__file__).with_name("contrast_process.py")


@pytest.mark.slow
def test_two_processes_hold_equal_memories_of_what_both_saw(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen([sys.executable, PROCESS, tmp_path], env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=200) for process in processes] == [0, 0]
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert first.pop("joined").flatten().tolist() == [0, 1, 2, 10, 11, 12, 13]
    saved = load_checkpoint(tmp_path / "run" / LAST).groups["task"]
    assert saved.keys() == first.keys()
    assert all(torch.equal(tensor, first[name]) for name, tensor in saved.items())
    # Three steps of four pictures: a class in more than half of them shows that both processes' pictures came in.
    assert 6 < int(first["regions.added"].max()) <= 12
