"""Measure the reading of notes: files of 10 MB through `ablata notes read`, the ledger included.

    python benchmarks/notes.py --notebooks FOLDER [--output docs/results/notes.md]

dense: the notebooks one after the other, again and again; varied: the same with every figure changed from one round to
the next, so that hardly a line comes twice; log: lines of a training tool's progress; words: lines of the docstrings
of Python's library and of the packages installed here, each once, which are no notes at all.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import os
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ablata.base.files import write_text
from ablata.records import environment

SIZE = 10_000_000
_DIGITS = re.compile(r"\d(?=\d*(?:[^\d.]|$))")
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_LINE = (
    "2023-05-01 10:00:00,123 - mmseg - INFO - Iter [{0}/160000]\tlr: 1e-02, time: 0.47, loss: {1:.4f}, acc: {2:.4f}\n"
)


def dense(notebooks: list[str]) -> Iterator[str]:
    """The notebooks as they are, for ever."""
    return itertools.cycle(notebooks)


def varied(notebooks: list[str]) -> Iterator[str]:
    """The notebooks with the last digit of every number drawn anew."""
    drawn = random.Random(0)
    for text in itertools.cycle(notebooks):
        yield _DIGITS.sub(lambda found: str(drawn.randrange(10)), text)


def log(notebooks: list[str]) -> Iterator[str]:
    """Progress of a training tool, for ever."""
    return (_LINE.format(50 * step, 3 / step, step / 200_000) for step in itertools.count(1))


def words(notebooks: list[str]) -> Iterator[str]:
    """Lines of docstrings, a file's at a time, each line once."""
    seen: set[str] = set()
    for folder in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        for path in sorted(Path(folder).rglob("*.py")):
            found = _DOCSTRING.findall(path.read_text(encoding="utf-8", errors="replace"))
            new = [line for text in found for line in text.split("\n") if line.strip() and line not in seen]
            seen.update(new)
            yield "".join(f"{line}\n" for line in new)


def write_notes(path: Path, texts: Iterator[str]) -> int:
    """Write texts until the file is large enough; return its lines."""
    size = lines = 0
    with path.open("w", encoding="utf-8") as file:
        while size < SIZE:
            text = next(texts, None)
            if text is None:
                raise SystemExit(f"{path.name}: {size:,} bytes, not {SIZE:,}: too few packages are installed")
            file.write(text)
            size += len(text.encode())
            lines += text.count("\n")
    return lines


def read(path: Path, home: Path) -> tuple[float, float, str]:
    """Read notes as a user does; return seconds, seconds of processor time, and what was counted."""
    environment = os.environ | {"ABLATA_HOME": str(home)}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ablata", "notes", "read", str(path)], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    seconds, after = time.perf_counter() - start, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, busy, done.stdout.partition(": ")[2].replace("\n", " ").strip()


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebooks", type=Path, required=True, help="folder of .txt files of notes")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    notebooks = [path.read_text(encoding="utf-8") for path in sorted(asked.notebooks.glob("*.txt"))]
    kinds: tuple[Callable[[list[str]], Iterator[str]], ...] = (dense, varied, log, words)
    rows = []
    for make in kinds:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "notes.txt"
            lines = write_notes(path, make(notebooks))
            seconds, busy, counted = read(path, Path(folder) / "home")
        rows.append(f"| {make.__name__} | {lines:,} | {seconds:.1f} s | {busy:.1f} s | {counted} |")
        print(rows[-1], flush=True)
    load = os.getloadavg()[0]
    facts = environment()
    text = (
        f"""# Reading 10 MB of notes

{datetime.date.today()}, {facts["processor"]}, {facts["cores"]} cores; Python {facts["python"]};
load average {load:.1f}, so other work shared the cores: processor time is the fairer figure.
`python benchmarks/notes.py --notebooks FOLDER`

| file | lines | time | processor time | read as |
|---|---|---|---|---|
"""
        + "\n".join(rows)
        + "\n"
    )
    if asked.output is not None:
        write_text(asked.output, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
