"""A lab of two judged studies, one of them under way, and a client of its board."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ablata.board.access import Access
from ablata.board.server import board_app
from ablata.records import Ledger, NewArm, NewRun
from ablata.stats import RULE_VERSION, Rule, calibrate, replay

KEY = "val/plain/top1"
RULE = Rule(margin=0.5, seeds=3)
SCORES = {"control": (90.0, 90.2, 89.9), "wide": (93.0, 93.1, 93.0), "<b>odd</b>": (90.1, 90.1, 90.0)}
HOSTILE = "<script>alert(1)</script>"
LOCAL = "http://127.0.0.1:8765"


def settings(arm: str) -> dict[str, Any]:
    width = 32 if arm == "wide" else 16
    return {"task": "classify", "model": {"width": width, "note": HOSTILE}, "data": {"kind": "digits", "root": None}}


def arms() -> list[NewArm]:
    return [
        NewArm(
            name={"<b>odd</b>": "odd"}.get(arm, arm),
            is_control=arm == "control",
            recipe_name="digits",
            recipe=settings(arm),
            recipe_hash=f"hash-{arm}",
            change=[] if arm == "control" else [f"model.width: 16 -> {settings(arm)['model']['width']}"],
        )
        for arm in SCORES
    ]


def train(ledger: Ledger, study: str, arm: str, seed: int, score: float) -> str:
    """Fill a cell with a run that has curves, a score, a cost and an event."""
    shown = {"<b>odd</b>": "odd"}.get(arm, arm)
    new = NewRun(
        recipe_name="digits", recipe=settings(arm), recipe_hash=f"hash-{arm}", code="c0de", data="da7a", seed=seed,
        environment="m1",
    )  # fmt: skip
    run = ledger.studies.enqueue(study, shown, new)
    if run.state != "waiting":
        return run.id
    claim = ledger.leases.claim_run(run.id, "here/000000:1", 60, "l1")
    points = [(step, name, 2.0 / (step + 1)) for step in range(40) for name in ("train/loss", KEY)]
    ledger.metrics.log(run.id, claim.attempt, points)
    ledger.events.add("warning", "watchdog", HOSTILE, run_id=run.id)
    cost = {"seconds": 60.0, "peak_memory_bytes": 2**30, "threads": 1.0}
    ledger.leases.finish(run.id, claim.attempt, "completed", scores={KEY: score}, cost=cost)
    return run.id


def fill(ledger: Ledger) -> None:
    """Put two studies into an empty ledger: one judged, one under way."""
    calibration = calibrate(len(SCORES) - 1, RULE, studies=2000)
    metric = {"key": KEY, "name": "top1", "split": "val", "protocol": "plain", "unit": "%", "higher_is_better": True}
    spec = {"metric": metric, "rule": RULE.to_json(), "mode": "claim", "first_seed": 0, "rule_version": RULE_VERSION}
    ledger.environments.record("m1", {"processor": HOSTILE})
    for name, question in (("done", f"Does it help? {HOSTILE}"), ("going-on", "Does it help again?")):
        ledger.studies.create(name, question, spec, arms())
        rows = 3 if name == "done" else 2
        for seed in range(rows):
            for arm, scores in SCORES.items():
                train(ledger, name, arm, seed, scores[seed])
    table = [[SCORES[arm][seed] for arm in SCORES] for seed in range(3)]
    judged = replay(table, RULE, calibration)
    names = ["wide", "odd"]
    ledger.studies.add_look("done", 3, {"arms": names, "replay": judged.to_json()})
    for outcome in judged.outcomes:
        ledger.studies.stop_arm("done", names[outcome.arm - 1], outcome.verdict.value, outcome.reason)
    ledger.studies.finish("done")
    waiting = NewRun(
        recipe_name="digits", recipe=settings("wide"), recipe_hash="hash-wide", code="c0de", data="da7a", seed=2,
        environment="m2",
    )  # fmt: skip
    ledger.studies.enqueue("going-on", "wide", waiting)


@pytest.fixture(scope="session")
def lab_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the lab; nothing in it is changed by a test."""
    home = tmp_path_factory.mktemp("board") / "lab"
    with Ledger(home=home) as ledger:
        fill(ledger)
    return home


@pytest.fixture(scope="session")
def shown(lab_home: Path) -> Iterator[TestClient]:
    """A client of the lab's board on the loopback address."""
    with Ledger(home=lab_home) as ledger, TestClient(board_app(ledger), base_url=LOCAL) as client:
        yield client


@pytest.fixture
def guarded(lab_home: Path) -> Iterator[TestClient]:
    """A client of a board that asks for the token `secret` and only reads."""
    access = Access(token="secret", read_only=True)
    with Ledger(home=lab_home) as ledger, TestClient(board_app(ledger, access), base_url="http://lab:1") as client:
        yield client


def csrf(page: str) -> str:
    """The secret of a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]
