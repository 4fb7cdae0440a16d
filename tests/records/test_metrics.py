from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.records import Claim, Ledger, NewArm, NewRun
from ablata.records.database import persist

Build = Callable[..., NewRun]


@pytest.fixture
def claim(ledger: Ledger, new_run: Build) -> Claim:
    ledger.runs.enqueue(new_run())
    taken = ledger.leases.claim("worker", 60)
    assert taken is not None
    return taken


def test_curves_come_back_by_name_and_rising_step(ledger: Ledger, claim: Claim) -> None:
    points = [(step, name, step + 0.25) for step in (3, 0, 10, 2) for name in ("loss", "accuracy")]
    ledger.metrics.log(claim.run.id, 1, iter(points))
    curves = ledger.metrics.of_runs([claim.run.id])
    assert [curve.name for curve in curves] == ["accuracy", "loss"]
    for curve in curves:
        assert curve.run == claim.run.id
        assert curve.steps == (0, 2, 3, 10)
        assert curve.values == (0.25, 2.25, 3.25, 10.25)
    assert [curve.name for curve in ledger.metrics.of_runs([claim.run.id], ["loss"])] == ["loss"]


def test_nan_and_the_infinities_are_told_apart(ledger: Ledger, claim: Claim) -> None:
    values = (math.nan, math.inf, -math.inf, 5e-324, 1.7976931348623157e308)
    ledger.metrics.log(claim.run.id, 1, [(step, "loss", value) for step, value in enumerate(values)])
    (curve,) = ledger.metrics.of_runs([claim.run.id])
    assert repr(curve.values) == repr(values)


def test_a_point_written_twice_is_the_last_one(ledger: Ledger, claim: Claim) -> None:
    ledger.metrics.log(claim.run.id, 1, [(0, "loss", 1.0), (1, "loss", 2.0), (1, "loss", 3.0)])
    ledger.metrics.log(claim.run.id, 1, [(0, "loss", 4.0)])
    (curve,) = ledger.metrics.of_runs([claim.run.id])
    assert (curve.steps, curve.values) == ((0, 1), (4.0, 3.0))


def test_a_resumed_run_leaves_no_duplicates_and_no_remnants(ledger: Ledger, claim: Claim) -> None:
    ledger.metrics.log(claim.run.id, 1, [(step, "loss", 1.0) for step in range(10)])
    ledger.leases.release(claim.run.id, 1, "interrupted")
    again = ledger.leases.claim("worker", 60)
    assert again is not None
    ledger.metrics.truncate(claim.run.id, again.attempt, 4)
    ledger.metrics.log(claim.run.id, again.attempt, [(step, "loss", 2.0) for step in range(5, 8)])
    (curve,) = ledger.metrics.of_runs([claim.run.id])
    assert curve.steps == tuple(range(8))
    assert curve.values == (1.0,) * 5 + (2.0,) * 3


def test_an_empty_batch_is_no_error(ledger: Ledger, claim: Claim) -> None:
    ledger.metrics.log(claim.run.id, 1, [])
    assert ledger.metrics.of_runs([claim.run.id]) == []
    assert ledger.metrics.of_runs([]) == []


def test_the_curves_of_a_study_are_those_of_its_runs(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    ledger.studies.create("study", "?", {}, arms)
    runs = [
        ledger.studies.enqueue("study", arm, new_run(recipe=recipe))
        for arm, recipe in (("control", "base"), ("nearest", "nearest"))
    ]
    ledger.runs.enqueue(new_run(recipe="stranger"))
    while taken := ledger.leases.claim("worker", 60):
        ledger.metrics.log(taken.run.id, taken.attempt, [(0, "loss", float(taken.run.number))])
    curves = ledger.metrics.of_study("study", ["loss"])
    assert [(curve.run, curve.values) for curve in curves] == [(run.id, (float(run.number),)) for run in runs]


@pytest.mark.postgres
def test_points_that_were_written_are_there_after_a_kill_of_the_database(
    mortal_postgres: Any, new_run: Build, home: Path
) -> None:
    with Ledger(f"{mortal_postgres.address}/postgres", home=home) as ledger:
        ledger.runs.enqueue(new_run())
        taken = ledger.leases.claim("worker", 60)
        assert taken is not None
        for step in range(50):
            ledger.metrics.log(taken.run.id, 1, [(step, "loss", 0.5)])
        mortal_postgres.kill()
        mortal_postgres.start()
        (curve,) = persist(lambda: ledger.metrics.of_runs([taken.run.id]), patience=60)
        assert curve.steps == tuple(range(50))
