from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ablata.base.errors import RunError, SettingsError
from ablata.records import Ledger
from ablata.records.rows import ArmRow
from ablata.studies.planning import worker_trial
from ablata.studies.planning.worker_trial import try_workers, workers_for
from ablata.studies.study import Study
from ablata.studies.workers import pool
from ablata.studies.workers.pool import Workers


@pytest.fixture
def arms(ledger: Ledger, recorded: Callable[..., Study], monkeypatch: pytest.MonkeyPatch) -> list[ArmRow]:
    """The arms of a study on a machine of eight cores without a GPU."""
    for module in (pool, worker_trial):
        monkeypatch.setattr(module, "usable_cores", lambda: 8)
    monkeypatch.setattr(pool, "_gpus", tuple)
    monkeypatch.setattr(pool, "available_bytes", lambda: 10**12)
    return ledger.studies.arms(recorded().name)


def test_workers_are_doubled_as_long_as_they_do_more_together(
    arms: list[ArmRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[int, int]] = []

    def timed(arm: ArmRow, cache: Path, count: int, threads: int) -> list[float]:
        tried.append((count, threads))
        return [{1: 10.0, 2: 12.0, 4: 40.0, 8: 1.0}[count]] * count

    monkeypatch.setattr(worker_trial, "_side_by_side", timed)
    told: list[str] = []
    assert workers_for(arms, "auto", tmp_path, told.append) == Workers(2, 4)
    assert tried == [(1, 8), (2, 4), (4, 2)]
    assert told == [
        "workers x threads, each tried for some seconds: 1x8: 360 runs an hour, 2x4: 600 runs an hour, "
        "4x2: 360 runs an hour; taken: 2"
    ]
    assert workers_for(arms, "auto", tmp_path, told.append) == Workers(2, 4)
    assert len(tried) == 3, "it is kept in the lab"


def test_a_number_and_a_gpu_need_no_trial_and_programs_have_no_steps(
    arms: list[ArmRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_trial, "try_workers", lambda *parts: pytest.fail("it was tried"))
    assert workers_for(arms, 3, tmp_path, print) == Workers(3, 2)
    monkeypatch.setattr(pool, "_gpus", lambda: ("0", "1"))
    assert workers_for(arms, "auto", tmp_path, print).count == 2
    with pytest.raises(SettingsError, match="workers=auto and a command"):
        worker_trial.refuse_untimed(["classification", "command"])


def test_a_trial_that_fails_says_why(arms: list[ArmRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no module named torch' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("ablata.studies.planning.worker_trial.sys.executable", str(broken))
    with pytest.raises(RunError, match="no module named torch"):
        try_workers(arms[0], tmp_path, 2)


@pytest.mark.slow
def test_steps_are_timed_in_processes_side_by_side(arms: list[ArmRow], tmp_path: Path) -> None:
    rates = try_workers(arms[0], tmp_path, 2).rates
    assert sorted(rates) == [1, 2]
    assert all(rate > 0 for rate in rates.values())
