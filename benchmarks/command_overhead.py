"""Measure what a run of a command costs beside the command itself, and 200 runs of one that ends at once.

    python benchmarks/command_overhead.py [--runs 40] [--output docs/results/command_overhead.md]

The command is a shell script of one line. Its bare time is measured in the same process, in turn with the runs.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ablata.base.files import write_text
from ablata.records import Ledger, environment
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.study import Study
from ablata.studies.workers.worker import work
from ablata.trainers.command import Command

SCRIPT = 'echo "acc: 9$1"\n'
AT_ONCE = 200


def made_folder(place: Path, *, versioned: bool) -> Path:
    """A working folder with the script, in a git repository or not."""
    place.mkdir()
    (place / "train.sh").write_text(SCRIPT)
    if versioned:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
            subprocess.run(["git", "-C", str(place), *who, *words], check=True)
    return place


def study_of(folder: Path, seeds: int) -> Study:
    """A study of two commands, judged once at its end so that every run is made."""
    control = Command.of("sh train.sh {seed}", scores=["acc"], folder=str(folder))
    return Study(
        name="overhead", question="?", control=control, arms={"other": "sh train.sh {seed} x"}, seeds=seeds, fixed=True
    )


def overhead(folder: Path, home: Path, runs: int) -> tuple[float, float]:
    """Return seconds of the bare command and of a run of it by a worker in this process, medians in turn."""
    bare, whole = [], []
    with Ledger(home=home) as ledger:
        study = study_of(folder, runs)
        create(ledger, study)
        here = record_environment(ledger)
        for seed in range(runs):
            began = time.perf_counter()
            subprocess.run(["sh", "train.sh", str(seed)], cwd=folder, stdout=subprocess.DEVNULL, check=True)
            bare.append(time.perf_counter() - began)
            ledger.studies.enqueue(study.name, "control", new_run(ledger, study.recipes["control"], seed, here))
            began = time.perf_counter()
            assert work(ledger, idle_exit=True) == 1
            whole.append(time.perf_counter() - began)
    return statistics.median(bare), statistics.median(whole)


def many(folder: Path, home: Path) -> tuple[float, int]:
    """Return the wall time of 200 runs on two workers, started by the command line, and how many runs there are."""
    words = [sys.executable, "-m", "ablata", "compare", "--score", "acc", "--seeds", str(AT_ONCE // 2), "--force-fixed"]
    words += ["--workers", "2", "--name", "many", "sh train.sh {seed}", "sh train.sh {seed} x"]
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, env={"PATH": "/usr/bin:/bin", "ABLATA_HOME": str(home), **_paths()}, check=True,
                   capture_output=True)  # fmt: skip
    seconds = time.perf_counter() - began
    with Ledger(home=home) as ledger:
        cells = ledger.studies.cells("many")
        ended = {cell.run.id for cell in cells if cell.run.state == "completed" and cell.run.attempt == 1}
    assert len(ended) == len(cells) == len({(cell.arm, cell.seed) for cell in cells}) == AT_ONCE
    return seconds, len(ended)


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(filter(None, sys.path))}


def main() -> None:
    """Measure and print, or write a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for versioned in (False, True):
            place = Path(name) / str(versioned)
            place.mkdir()
            folder = made_folder(place / "work", versioned=versioned)
            bare, whole = overhead(folder, place / "home", arguments.runs)
            seconds, count = many(folder, place / "many")
            told = "in a git repository" if versioned else "without git"
            rows.append(f"| {told} | {1000 * bare:.0f} | {1000 * whole:.0f} | {1000 * (whole - bare):.0f} | "
                        f"{seconds:.1f} s, {count} of {AT_ONCE} |")  # fmt: skip
    text = "\n".join([
        "# What a run of a command costs",
        "",
        f"Measured {datetime.date.today()} by `benchmarks/command_overhead.py`, {arguments.runs} runs, medians; "
        f"{environment()['processor']}, load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.",
        "",
        "| folder | the command alone, ms | a run of it, ms | overhead, ms | 200 runs on two workers |",
        "|---|---:|---:|---:|---|",
        *rows,
        "",
    ])  # fmt: skip
    if arguments.output:
        write_text(arguments.output, text)
    print(text)


if __name__ == "__main__":
    main()
