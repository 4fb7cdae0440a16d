"""Measure a very large lab: 10,000 runs, 10 million points of curves, 10,000 more runs waiting, eight claimers.

    python benchmarks/scale.py [--runs 10000] [--points 1000] [--db postgresql://user@host/name] [--output PAGE.md]

The lab is that of `board.py`, larger, in SQLite or, with --db, in a schema of a Postgres database that is dropped at
the end. Each figure is the median of several calls after one that is not counted, in this process; how long a
command's imports take is told in `command_overhead.py`. The eight claimers are processes that claim and finish as
fast as they can; a run that two of them had would be a lost race.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from ablata.base.files import write_text
from ablata.cli.runs import LISTED
from ablata.records import Ledger, NewArm
from ablata.reports.terminal import runs_table
from board import ARMS, SEEDS, make_lab, page_times
from decision_rule import hardware
from ledger import new_run, postgres_schema

CLAIMERS, EACH = 8, 50
CLAIM = """
import sys
from pathlib import Path
from ablata.records import Ledger
with Ledger(sys.argv[1], home=Path(sys.argv[2])) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[3])):
        claim = ledger.leases.claim("claimer", 600, study="waiting")
        print(claim.run.id, flush=True)
        ledger.leases.finish(claim.run.id, claim.attempt, "completed", scores={"val/plain/top1": 1.0}, cost={})
"""


def median_ms(work: Callable[[], object], times: int = 7) -> float:
    """Return the median time of some work in milliseconds, after a call that is not counted."""
    taken = []
    for _ in range(times + 1):
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken[1:])


def lists(ledger: Ledger) -> dict[str, float]:
    """Return milliseconds of the lists of the command line and of a study's report."""
    from ablata.api.runs import found_views
    from ablata.api.studies import report_text

    def report() -> None:
        report_text(ledger, "study-007", "html")

    return {
        "`runs list`": median_ms(lambda: runs_table(found_views(ledger, limit=LISTED))),
        "`runs list --study`": median_ms(lambda: runs_table(found_views(ledger, study="study-007"))),
        "`study list`": median_ms(ledger.studies.all),
        "`study report --format html`": median_ms(report, 3),
    }


def wait(ledger: Ledger, runs: int) -> None:
    """Put runs of a study into the queue."""
    arms = [
        NewArm(name=f"arm{index}", recipe_name=f"r{index}", recipe={}, recipe_hash=f"{index:064}", is_control=not index)
        for index in range(10)
    ]
    ledger.studies.create("waiting", "how fast?", {"margin": 0.01}, arms)
    for seed in range(runs // 10):
        for arm in arms:
            ledger.studies.enqueue("waiting", arm.name, new_run(seed, arm.recipe_name))


def claims(ledger: Ledger) -> float:
    """Return milliseconds of a claim with all those runs waiting."""

    def claim() -> None:
        taken = ledger.leases.claim("benchmark", 600, study="waiting")
        assert taken is not None

    return median_ms(claim, 31)


def race(address: str, home: Path) -> tuple[float, int]:
    """Let eight processes claim at once; return claims and finishes a second, and how many runs two of them had."""
    command = [sys.executable, "-c", CLAIM, address, str(home), str(EACH)]
    claimers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(CLAIMERS)
    ]
    for claimer in claimers:
        assert claimer.stdout is not None
        claimer.stdout.readline()
    started = time.perf_counter()
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write("go\n")
        claimer.stdin.flush()
    taken = Counter(line for claimer in claimers for line in claimer.communicate()[0].split())
    seconds = time.perf_counter() - started
    assert all(claimer.returncode == 0 for claimer in claimers)
    assert sum(taken.values()) == CLAIMERS * EACH
    return sum(taken.values()) / seconds, sum(count > 1 for count in taken.values())


def main() -> None:
    """Measure, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="trained, and as many waiting")
    parser.add_argument("--points", type=int, default=1000, help="of each run's curves")
    parser.add_argument("--db", help="a Postgres database; SQLite without it")
    parser.add_argument("--home", type=Path, help="where the SQLite lab is kept, to be used again")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    studies = asked.runs // (ARMS * SEEDS)
    schema = postgres_schema(asked.db) if asked.db else nullcontext(("", "SQLite"))
    with tempfile.TemporaryDirectory() as folder, schema as (address, database):
        home = asked.home or Path(folder) / "lab"
        address = address or f"sqlite:///{home}/ledger.sqlite3"
        os.environ["ABLATA_DB"] = address
        started = time.perf_counter()
        if not home.exists():
            make_lab(home, studies, asked.points)
        filled = time.perf_counter() - started
        with Ledger(address, home=home) as ledger:
            rows = [(name, f"{ms:.0f} ms") for name, ms in lists(ledger).items()]
            rows += [(f"board: {name}", f"{ms:.0f} ms") for name, (ms, *_) in page_times(home, 5, studies).items()]
            wait(ledger, asked.runs)
            rows.append((f"a claim, {asked.runs:,} runs waiting", f"{claims(ledger):.1f} ms"))
        rate, lost = race(address, home)
        rows.append(
            (f"{CLAIMERS} processes claim and finish {CLAIMERS * EACH} runs", f"{rate:.0f} runs/s, {lost} taken twice")
        )
        if not asked.db:
            rows.append(("size of the ledger's file", f"{(home / 'ledger.sqlite3').stat().st_size / 2**20:.0f} MiB"))
    title = f"# A lab of {asked.runs:,} runs and {asked.runs * asked.points / 1e6:.0f} million points"
    lines = [title, "", f"{datetime.date.today()}, {hardware()}, Python {platform.python_version()}, {database}.",
             f"`python benchmarks/scale.py --runs {asked.runs} --points {asked.points}`; written in {filled:.0f} s.",
             "", "| what | time |", "|---|---|", *(f"| {name} | {told} |" for name, told in rows)]  # fmt: skip
    print("\n".join(lines))
    if asked.output:
        write_text(asked.output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
