"""Measure the board's pages on a large lab: 50 studies, 2,000 runs, 2 million points of curves.

    python benchmarks/board.py [--studies 50] [--points 1000] [--output docs/results/board.md]

The lab is made up: studies of a control and seven arms with five seeds each, judged by the product's own rule. Each
page is asked for several times in the server's own process; the figure is the time until its HTML is there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ablata.records import Ledger, NewArm, NewRun
from ablata.stats import RULE_VERSION, Rule, calibrate, calibration_key, replay

ARMS, SEEDS = 8, 5
KEY = "val/plain/top1"
NAMES = ("train/loss", "train/lr", "val/plain/loss", KEY)


def make_lab(home: Path, studies: int, points: int) -> None:
    """Write a lab of finished studies, and one that is under way, whose runs have `points` points each."""
    rng = np.random.default_rng(0)
    rule = Rule(margin=0.5, seeds=SEEDS)
    calibration = calibrate(ARMS - 1, rule)
    metric = {"key": KEY, "name": "top-1", "split": "val", "protocol": "plain", "unit": "%", "higher_is_better": True}
    spec = {"metric": metric, "rule": rule.to_json(), "mode": "claim", "first_seed": 0, "rule_version": RULE_VERSION}
    with Ledger(home=home) as ledger:
        ledger.calibrations.put(calibration_key(ARMS - 1, rule), calibration.to_json())
        ledger.environments.record("m1", {"processor": "made up"})
        for number in range(studies):
            name = f"study-{number:03d}"
            arms = ["control", *(f"arm-{arm}" for arm in range(1, ARMS))]
            effects = np.array([0.0, 1.5, -1.5, 0.0, 0.05, 0.7, -0.4, 3.0])
            made = [_new_arm(name, arm, index) for index, arm in enumerate(arms)]
            ledger.studies.create(name, f"Does any of seven changes help, number {number}?", spec, made)
            scores = 90 + effects + 0.25 * rng.standard_normal((SEEDS, ARMS))
            under_way = number == studies - 1
            rows = 3 if under_way else SEEDS
            for seed in range(rows):
                for index, arm in enumerate(arms):
                    _run(ledger, name, arm, index, seed, float(scores[seed, index]), points, rng)
            judged = replay(scores[:rows], rule, calibration)
            ledger.studies.add_look(name, rows, {"arms": arms[1:], "replay": judged.to_json()})
            if not under_way:
                for outcome in judged.outcomes:
                    ledger.studies.stop_arm(name, arms[outcome.arm], outcome.verdict.value, outcome.reason)
                ledger.studies.finish(name)


def _recipe(name: str, index: int) -> dict[str, object]:
    many = {f"part_{part}": {"width": part, "depth": 3, "rate": 0.1, "kind": "plain"} for part in range(30)}
    return {"kind": "made", "name": name, "optim": {"lr": 0.1 + 0.01 * index}, **many}


def _new_arm(study: str, arm: str, index: int) -> NewArm:
    change = [] if index == 0 else [f"optim.lr: 0.1 -> {0.1 + 0.01 * index:.2f}"]
    return NewArm(
        name=arm,
        is_control=index == 0,
        recipe_name="made",
        recipe=_recipe(study, index),
        recipe_hash=f"{study}-{arm}",
        change=change,
    )


def _run(
    ledger: Ledger, study: str, arm: str, index: int, seed: int, score: float, points: int, rng: np.random.Generator
) -> None:
    new = NewRun(
        recipe_name="made",
        recipe=_recipe(study, index),
        recipe_hash=f"{study}-{arm}",
        code="c0de",
        data="da7a",
        seed=seed,
        environment="m1",
    )
    run = ledger.studies.enqueue(study, arm, new)
    claim = ledger.leases.claim_run(run.id, "maker/000000:1", 60, "l1")
    each = points // len(NAMES)
    for name in NAMES:
        noise = np.exp(-np.arange(each) / each) + 0.05 * rng.standard_normal(each)
        ledger.metrics.log(run.id, claim.attempt, [(step, name, float(value)) for step, value in enumerate(noise)])
    cost = {"seconds": 60 + 10 * rng.random(), "peak_memory_bytes": 2**30, "threads": 1.0}
    ledger.leases.finish(run.id, claim.attempt, "completed", scores={KEY: score}, cost=cost)
