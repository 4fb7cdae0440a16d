"""Measure the ledger: four processes on a fresh database, metric points a second, the table of 500 runs, claims.

    python benchmarks/ledger.py [--db postgresql://user@host/name] [--output docs/results/ledger.md]

Without --db only SQLite is measured. The Postgres database gets schemas of its own, which are dropped at the end.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ablata.base.files import write_text
from ablata.records import Ledger, NewArm, NewRun, RunWriter, environment

PROCESSES = 4
OPEN = (
    "import sys, time; from pathlib import Path; from ablata.records import Ledger; print('ready', flush=True); "
    "sys.stdin.readline(); start = time.perf_counter(); Ledger(sys.argv[1], home=Path(sys.argv[2])); "
    "print(time.perf_counter() - start)"
)
START = (
    "import time; start = time.perf_counter(); import sys; from pathlib import Path; "
    "from ablata.records import Ledger; Ledger(sys.argv[1], home=Path(sys.argv[2])); print(time.perf_counter() - start)"
)


def new_run(seed: int, recipe: str = "base") -> NewRun:
    """A run with settings of a usual size (about 4 kB)."""
    settings = {f"part{index}": {"kind": "conv", "channels": 64, "stride": 2, "bias": False} for index in range(60)}
    return NewRun(
        recipe_name=recipe,
        recipe=settings,
        recipe_hash=f"{recipe:0>64}",
        code="c" * 32,
        data="d" * 32,
        seed=seed,
        environment="e" * 16,
    )


def open_fresh(address: str, home: Path) -> str:
    """Seconds until the last of several processes has opened a database nobody has opened before."""
    command = [sys.executable, "-c", OPEN, address, str(home)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    seconds = [float(worker.communicate()[0]) for worker in workers]
    assert all(worker.returncode == 0 for worker in workers)
    return f"{max(seconds):.2f} s until the last is open, all succeed"


def open_again(address: str, home: Path) -> str:
    """Seconds a new process needs to import the room and open a ledger that is up to date."""
    command = [sys.executable, "-c", START, address, str(home)]
    seconds = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(7)]
    return f"{statistics.median(seconds):.2f} s (median of 7 processes)"


def log_points(ledger: Ledger, batch: int, points: int = 300_000) -> str:
    """Metric points a second of one writer: four metrics, one transaction a batch."""
    run = ledger.runs.enqueue(new_run(seed=batch, recipe="points"))
    claim = ledger.leases.claim_run(run.id, "benchmark", 600)
    names = ("loss", "accuracy", "learning_rate", "grad_norm")
    batches = [
        [(step, name, step * 0.5) for step in range(start, start + batch // len(names)) for name in names]
        for start in range(0, points // len(names), batch // len(names))
    ]
    start = time.perf_counter()
    for rows in batches:
        ledger.metrics.log(run.id, claim.attempt, rows)
    seconds = time.perf_counter() - start
    ledger.leases.finish(run.id, claim.attempt, "completed")
    return f"{sum(map(len, batches)) / seconds:,.0f} points/s"


def reach_disk(ledger: Ledger, points: int = 80) -> str:
    """Milliseconds that a checkpoint waits: its last points written, and all of them brought to the disk."""
    run = ledger.runs.enqueue(new_run(seed=0, recipe="durable"))
    steps = iter(range(0, 10**9, points))
    with RunWriter(ledger, ledger.leases.claim_run(run.id, "benchmark", 600)) as writer:

        def save() -> None:
            start = next(steps)
            writer.metrics([(step, "loss", 0.5) for step in range(start, start + points)])
            writer.make_durable()

        figure = median_of(save)
        writer.finish("completed")
    return figure


def fill(ledger: Ledger) -> str:
    """Claims and finishes a second of one worker, while 500 runs of a study with 200 points each are made."""
    arms = [
        NewArm(name=f"arm{index}", recipe_name=f"r{index}", recipe={}, recipe_hash=f"{index:064}", is_control=not index)
        for index in range(10)
    ]
    ledger.studies.create("table", "how fast?", {"margin": 0.01}, arms)
    for seed in range(50):
        for arm in arms:
            ledger.studies.enqueue("table", arm.name, new_run(seed, arm.recipe_name))
    scores = {f"mean_iou/single/{split}/{index}": 0.123456789 for split in ("val", "minival") for index in range(5)}
    cost = {"seconds": 1234.5, "peak_bytes": 1 << 30, "flops": 1e15}
    claiming = 0.0
    for _ in range(500):
        start = time.perf_counter()
        claim = ledger.leases.claim("benchmark", 600, study="table")
        claiming += time.perf_counter() - start
        assert claim is not None
        points = [(step, name, 0.5) for step in range(100) for name in ("loss", "accuracy")]
        ledger.metrics.log(claim.run.id, claim.attempt, points)
        start = time.perf_counter()
        ledger.leases.finish(claim.run.id, claim.attempt, "completed", scores=scores, cost=cost)
        claiming += time.perf_counter() - start
    return f"{500 / claiming:,.0f} runs/s"


def median_of(work: Callable[[], object], times: int = 31) -> str:
    """Median and slowest time of some work, in milliseconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - start))
    return f"{statistics.median(taken):.1f} ms (median of {times}, slowest {max(taken):.1f} ms)"


def measure(address: str) -> list[tuple[str, str]]:
    """All figures of one empty database."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = [(f"{PROCESSES} processes open a fresh ledger at once", open_fresh(address, home))]
        with Ledger(address, home=home) as ledger:
            rows.append(("a new process imports and opens it", open_again(address, home)))
            rows += [(f"metrics, batches of {batch:,}", log_points(ledger, batch)) for batch in (100, 1_000, 10_000)]
            rows.append(("80 points and all before them on the disk, before a checkpoint", reach_disk(ledger)))
            rows.append(("claim and finish, 500 runs waiting", fill(ledger)))
            assert len(ledger.runs.find(study="table")) == 500
            rows.append(("table of 500 runs with scores", median_of(lambda: ledger.runs.find(limit=500))))
            rows.append(("the same, by study", median_of(lambda: ledger.runs.find(study="table"))))
            rows.append(("one metric of 500 runs", median_of(lambda: ledger.metrics.of_study("table", ["loss"]))))
    return rows


@contextmanager
def postgres_schema(address: str) -> Iterator[tuple[str, str]]:
    """The address of a new schema of a Postgres database, and the server's name, version and care for the disk."""
    import psycopg

    name = f"benchmark_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            row = connection.execute("SELECT current_setting('server_version'), current_setting('fsync')").fetchone()
            assert row is not None
            server = f"Postgres {row[0].split()[0]}, fsync {row[1]}"
            yield f"{address}{'&' if '?' in address else '?'}options=-csearch_path%3D{name}", server
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def main() -> None:
    """Measure, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", help="an empty Postgres database")
    parser.add_argument("--output", type=Path, help="write the figures to this page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        columns = {"SQLite": measure(f"sqlite:///{folder}/ledger.sqlite3")}
    if arguments.db:
        with postgres_schema(arguments.db) as (address, server):
            columns[server] = measure(address)
    here = environment()
    hardware = (
        f"{here['processor']}, {here['cores']} cores, {here['memory_bytes'] / 2**30:.0f} GiB; Python {here['python']}"
    )
    lines = ["# The ledger's speed", "", f"{datetime.date.today()}, {hardware}."]
    lines += ["`python benchmarks/ledger.py" + (" --db postgresql://..." if arguments.db else "") + "`", ""]
    lines += ["| what | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for cells in zip(*columns.values(), strict=True):
        lines.append("| " + " | ".join([cells[0][0], *(figure for _, figure in cells)]) + " |")
    print("\n".join(lines))
    if arguments.output:
        write_text(arguments.output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
