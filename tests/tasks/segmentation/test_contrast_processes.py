"""Two processes with a contrast: what each adds reaches the memory of both, and a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ablata.engine.checkpoints import LAST, load_checkpoint

PROCESS = Path(__file__).with_name("contrast_process.py")


@pytest.mark.slow
def test_two_processes_hold_equal_memories_of_what_both_saw(
    tmp_path: Path, run_on_two: Callable[[Path, Path], None]
) -> None:
    run_on_two(PROCESS, tmp_path)
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert first.pop("joined").flatten().tolist() == [0, 1, 2, 10, 11, 12, 13]
    saved = load_checkpoint(tmp_path / "run" / LAST).groups["task"]
    assert saved.keys() == first.keys()
    assert all(torch.equal(tensor, first[name]) for name, tensor in saved.items())
    # Three steps of four images: a class in more than half of them shows that both processes' images came in.
    assert 6 < int(first["regions.added"].max()) <= 12
