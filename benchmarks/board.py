"""Measure the board's pages on a large lab: 50 studies, 2,000 runs, 2 million points of curves.

    python benchmarks/board.py [--studies 50] [--points 1000] [--output docs/results/board.md]

The lab is made up: studies of a control and seven arms with five seeds each, judged by the product's own rule. Each
page is asked for several times in the server's own process; the figure is the time until its HTML is there.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from ablata import Loop
from ablata.base.files import write_text
from ablata.records import Ledger, NewArm, NewRun
from ablata.stats import RULE_VERSION, Rule, calibrate, calibration_key, replay
from decision_rule import hardware

ARMS, SEEDS = 8, 5
LOOPS, PROPOSALS = 5, 40
_START_SECONDS = 15
"""After which the board has simulated what would settle the undecided arms."""
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
    for number in range(LOOPS):
        loop = Loop(_scored, f"loop-{number}", margin=0.2, home=home, progress=False)
        for gain in 0.3 * rng.standard_normal(PROPOSALS):
            loop.try_({"gain": round(float(gain), 3)}, "a change made up")


def _scored(seed: int, gain: float = 0.0) -> dict[str, float]:
    return {"top1": 90 + gain + 0.25 * random.Random(f"{seed} {gain}").gauss(0, 1)}


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


def page_times(home: Path, turns: int, studies: int = 50) -> dict[str, tuple[float, float, int]]:
    """Return milliseconds, those of computing, and bytes of each page's HTML (medians), after one look at each."""
    from starlette.testclient import TestClient

    from ablata.board.server import board_app

    with Ledger(home=home) as ledger:
        run = ledger.runs.find(limit=1)[0].id
        pages = {
            "studies": "/studies",
            "a study under way": f"/studies/study-{studies - 1:03d}",
            "a finished study": "/studies/study-007",
            "two studies": "/studies/compare?first=study-001&second=study-002",
            "runs": "/runs",
            "runs, filtered and sorted": "/runs?filter=optim.lr%3E0.12+arm:arm&sort=optim.lr",
            "a run": f"/runs/{run}",
            "eight runs": "/runs/compare?" + "&".join(f"run={one.id}" for one in ledger.runs.find(limit=8)),
            "loops": "/loops",
            "a loop": "/loops/loop-0",
            "data": "/data",
            "notes": "/notes",
            "machine": "/machine",
            "start": "/start",
        }
        with TestClient(board_app(ledger), base_url="http://localhost") as client:
            found = {}
            for name, path in pages.items():
                client.get(path)
                times, computed = [], []
                for _ in range(turns):
                    began, before = time.perf_counter(), time.process_time()
                    answer = client.get(path)
                    times.append(1000 * (time.perf_counter() - began))
                    computed.append(1000 * (time.process_time() - before))
                    assert answer.status_code == 200, path
                found[name] = (statistics.median(times), statistics.median(computed), len(answer.content))
    return found


def steps_per_second(seconds: float) -> float:
    """Return how often a fixed piece of arithmetic was done a second, on one thread."""
    matrix, done, began = np.ones((256, 256)), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        matrix @ matrix
        done += 1
    return done / (time.perf_counter() - began)


def slowdown(home: Path, turns: int, seconds: float) -> float:
    """Return by how many percent work on every core is slower while an open page follows the lab; medians of turns.

    The work keeps all cores busy, as a training does. The page asks for itself as often as a browser does: every four
    seconds, or fifty times what an answer takes. What the board simulates as it starts has ended.
    """
    ratios = []
    for turn in range(turns):
        speeds = {}
        for beside in (True, False) if turn % 2 else (False, True):
            with _followed(home) if beside else nullcontext(), ProcessPoolExecutor(os.cpu_count()) as workers:
                speeds[beside] = sum(workers.map(steps_per_second, [seconds] * (os.cpu_count() or 1)))
        ratios.append(100 * (speeds[False] / speeds[True] - 1))
    return statistics.median(ratios)


@contextmanager
def _followed(home: Path) -> Iterator[None]:
    """A board with one open page of a study under way, which follows it."""
    environment = os.environ | {"ABLATA_HOME": str(home)}
    command = [sys.executable, "-m", "ablata", "board", "--no-open"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[2]
        path = f"{address}studies/study-049"
        urllib.request.urlopen(path).read()
        time.sleep(_START_SECONDS)
        ended = threading.Event()

        def follow() -> None:
            pause = 4.0
            while not ended.wait(pause):
                began = time.monotonic()
                urllib.request.urlopen(urllib.request.Request(path, headers={"X-Follow": "1"})).read()
                pause = max(4.0, 50 * (time.monotonic() - began))

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            process.send_signal(signal.SIGINT)
            process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--home", type=Path, help="where the lab is kept, to be used again")
    parser.add_argument("--pages", action="store_true", help="only the pages, where the machine is too busy for more")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = asked.home or Path(folder) / "lab"
        if not home.exists():
            make_lab(home, asked.studies, asked.points)
        times = page_times(home, asked.turns, asked.studies)
        slower = None if asked.pages else slowdown(home, asked.turns, 20.0)
    today = datetime.date.today().isoformat()
    rows = "\n".join(
        f"| {name} | {ms:.0f} | {cpu:.0f} | {size / 1000:.0f} |" for name, (ms, cpu, size) in times.items()
    )
    command, python = f"`python benchmarks/board.py --turns {asked.turns}`", f"Python {platform.python_version()}"
    text = (
        f"# Pages of the board\n\n{today}, {command}, {hardware()}, {python}.\n\n"
        f"A lab of {asked.studies} studies, about {asked.studies * ARMS * SEEDS} runs, {asked.points} points of curves "
        f"each, and {LOOPS} loops of {PROPOSALS} proposals. Time until a page's HTML is there, median of {asked.turns} "
        "after one look at it: the first look at a study that ended undecided simulates what would settle it, as the "
        "board does in the background when it starts.\n\n"
        f"| page | ms | of these computing | kB |\n|---|---|---|---|\n{rows}\n"
    )
    if slower is not None:
        text += (
            f"\nWork that keeps all cores busy is {slower:+.1f}% slower while a study's page is open and follows the "
            f"lab (median of {asked.turns} turns with and without).\n"
        )
    print(text)
    if asked.output is not None:
        write_text(asked.output, text)


if __name__ == "__main__":
    main()
