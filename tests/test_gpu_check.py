"""The script that checks and times everything on a GPU works at tiny sizes on the processor."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu_check.py"
OWN_PROCESSES = {"tests", "processes", "together"}
"""Parts that start processes, which takes too long here: the slow test runs them with the whole script."""


@pytest.fixture(scope="module")
def gpu_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_part_runs_on_the_processor(gpu_check: ModuleType, subtests: pytest.Subtests) -> None:
    place = gpu_check.Place(torch.device("cpu"), tiny=True)
    for name, part in gpu_check.PARTS.items():
        if name not in OWN_PROCESSES:
            with subtests.test(part=name):
                found = part(place)
                assert found
                json.dumps(found)


def test_a_difference_above_its_bound_is_a_failure(gpu_check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "BOUNDS", {"fp32": 0.0, "bf16": 0.0})
    monkeypatch.setattr(gpu_check, "TRAININGS", {"digits": gpu_check.TRAININGS["digits"]})
    with pytest.raises(gpu_check.BoundError, match="digits in bf16"):
        gpu_check.precision(gpu_check.Place(torch.device("cpu"), tiny=True))


@pytest.mark.slow
def test_the_script_writes_what_each_part_found(
    gpu_check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "found.json"
    monkeypatch.setattr(gpu_check, "TOTAL_SECONDS", 2400.0)  # this machine may be busy elsewhere
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--device", "cpu", "--tiny", "--output", str(output)])
    gpu_check.main()
    parts = json.loads(output.read_text())["parts"]
    assert parts.keys() == gpu_check.PARTS.keys()
    assert {one["state"] for one in parts.values()} == {"ok"}
