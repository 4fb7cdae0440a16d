from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.studies.workers import pool
from ablata.studies.workers.pool import Workers


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine of 8 cores, much memory and no GPU."""
    monkeypatch.setattr(pool, "usable_cores", lambda: 8)
    monkeypatch.setattr(pool, "available_bytes", lambda: 64 * 10**9)
    monkeypatch.setattr(pool, "_gpu_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("wanted", "runs", "expected"),
    [(None, 4, Workers(4, 2)), (None, 20, Workers(8, 1)), (3, 20, Workers(3, 2)), (16, 2, Workers(16, 1))],
)
def test_workers_share_the_cores_and_are_no_more_than_the_runs(
    machine: pytest.MonkeyPatch, wanted: int | None, runs: int, expected: Workers
) -> None:
    assert Workers.for_this_machine(wanted, runs) == expected


def test_little_memory_means_fewer_workers_but_never_none(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(pool, "available_bytes", lambda: int(2.5e9))
    assert Workers.for_this_machine(None, 20).count == 2
    machine.setattr(pool, "available_bytes", lambda: 10)
    assert Workers.for_this_machine(None, 20).count == 1


def test_each_gpu_gets_a_worker_unless_the_recipes_stay_on_the_processor(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(pool, "_gpu_count", lambda: 2)
    assert Workers.for_this_machine(None, 20) == Workers(2, 4, ("0", "1"))
    assert Workers.for_this_machine(None, 20, gpu=False) == Workers(8, 1)
    machine.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-abc")
    assert Workers.for_this_machine(4, 20) == Workers(4, 2, ("5", "GPU-abc"))


def test_as_many_runs_share_each_gpu_as_fit_in_its_memory(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(pool, "_gpu_count", lambda: 2)
    machine.setattr(pool, "_gpu_bytes", lambda count: [24 * 10**9, 10 * 10**9][:count])
    packed = Workers.for_this_machine(None, 20, gpu_memory=8 * 10**9)
    assert packed == Workers(4, 2, ("0", "1", "0", "0"), 8 * 10**9)
    assert Workers.for_this_machine(None, 2, gpu_memory=8 * 10**9).count == 2
    with pytest.raises(SettingsError, match=r"--pack 30, and the largest of 2 has 24.0 GB"):
        Workers.for_this_machine(None, 20, gpu_memory=30 * 10**9)
    machine.setattr(pool, "_gpu_count", lambda: 0)
    with pytest.raises(SettingsError, match=r"--pack 8, no GPU"):
        Workers.for_this_machine(None, 20, gpu_memory=8 * 10**9)


def test_this_machine_has_memory() -> None:
    assert pool.available_bytes() > 10**7
