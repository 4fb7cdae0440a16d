"""Curves from what a program prints: a line that names a step or an epoch and figures is a point of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ablata.trainers.readers.tables import finite_numbers, flatten, number
from ablata.trainers.score_source import NUMBER

_STEP = re.compile(
    r"""(?<![\w./-])["']?(global_step|step|iteration|iter|epoch)["']?\s*[:=#]?\s*\[?(\d+)""", re.IGNORECASE
)
_PAIR = re.compile(rf"""(?<![\w./-])["']?([A-Za-z_][\w./-]*)["']?\s*[:=]\s*["']?({NUMBER})(?![\w:])""")
_COUNTS = {"global_step", "step", "iteration", "iter", "epoch"}
MOST_NAMES = 50
_LONGEST_LINE = 2000


def points(lines: Iterable[str]) -> list[tuple[int, str, float]]:
    """Return the points of the curves in lines of output.

    Args:
        lines: as printed; a line of JSON with a step is one too.

    Returns:
        Step, name and value of each; of names at most 50, the first that come.
    """
    found: list[tuple[int, str, float]] = []
    names: set[str] = set()
    for line in lines:
        step, values = _values(line.strip()[:_LONGEST_LINE])
        if step is None:
            continue
        for name, value in values.items():
            if name.lower() not in _COUNTS and (name in names or len(names) < MOST_NAMES):
                names.add(name)
                found.append((step, name, value))
    return found


def _values(line: str) -> tuple[int | None, dict[str, float]]:
    if line.startswith("{"):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            values = finite_numbers(flatten(row))
            step = next((values[name] for name in values if name.lower() in _COUNTS), None)
            return (None if step is None or step < 0 else int(step)), values
    match = _STEP.search(line)
    if match is None:
        return None, {}
    pairs = {name: value for name, text in _PAIR.findall(line) if (value := number(text)) is not None}
    return int(match[2]), finite_numbers(pairs)
