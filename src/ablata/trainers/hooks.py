"""`ablata.log` and `ablata.score`: what a training calls to hand over its curves and its scores.

    from ablata import log, score

    for epoch in range(10):
        log(step=epoch, loss=loss)
    score(acc=0.91)

In a function that a study runs they go to the run. In a program that `ablata compare` started, which finds
`ABLATA_RUN_DIR` in its environment, they are lines of a file in the run's folder. Anywhere else they do nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, SupportsInt

from ablata.base.errors import SettingsError

HOOK_FILE = "ablata.jsonl"
"""The file of a run's folder that holds what a program handed over, an object a line."""
RUN_FOLDER = "ABLATA_RUN_DIR"
"""The environment variable that names the run's folder."""


class Sink(Protocol):
    """What takes the curves and scores of a function."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take a point of each curve."""

    def score(self, values: Mapping[str, float]) -> None:
        """Take scores; the last of a name counts."""


_sink: ContextVar[Sink | None] = ContextVar("ablata_sink", default=None)
_open: list[Sink] = []
"""The sinks of this process: a function's own threads do not see the variable above."""


def log(*, step: SupportsInt, **values: SupportsFloat) -> None:
    """Hand over a point of each curve; does nothing where no study runs this.

    Args:
        step: a whole number from 0 on, such as the optimiser's step or the epoch.
        values: by name: numbers, or arrays and tensors of one number.

    Raises:
        SettingsError: a value is no number, or the step is negative.
    """
    sink, file = _current()
    if sink is None and file is None:
        return
    place, numbers = _step(step), _numbers("log", values)
    if sink is not None:
        sink.log(place, numbers)
    elif file is not None:
        _append(file, {"step": place, "log": numbers})


def score(**values: SupportsFloat) -> None:
    """Hand over the scores of this training; the last one of a name counts. Does nothing where no study runs this.

    Args:
        values: by name: numbers, or arrays and tensors of one number.

    Raises:
        SettingsError: a value is no number.
    """
    sink, file = _current()
    if sink is None and file is None:
        return
    numbers = _numbers("score", values)
    if sink is not None:
        sink.score(numbers)
    elif file is not None:
        _append(file, {"score": numbers})


@contextmanager
def handing_to(sink: Sink) -> Iterator[None]:
    """Let a sink take what is handed over inside the block."""
    token = _sink.set(sink)
    _open.append(sink)
    try:
        yield
    finally:
        _open.remove(sink)
        _sink.reset(token)


def handed_over(lines: Iterable[str]) -> tuple[list[tuple[int, str, float]], dict[str, float]]:
    """Return points (step, name, value) and scores by name from lines of the file; those that are damaged count not."""
    points: list[tuple[int, str, float]] = []
    scores: dict[str, float] = {}
    for line in lines:
        try:
            row = json.loads(line)
            if "score" in row:
                scores |= {str(name): float(value) for name, value in row["score"].items()}
            else:
                step = int(row["step"])
                points += [(step, str(name), float(value)) for name, value in row["log"].items()]
        except (ValueError, TypeError, KeyError, AttributeError):
            # The program writes into that folder, too, and may have been killed in the middle of a line.
            continue
    return points, scores


def _current() -> tuple[Sink | None, Path | None]:
    sink = _sink.get() or (_open[0] if len(_open) == 1 else None)
    folder = os.environ.get(RUN_FOLDER) if sink is None else None
    return sink, Path(folder, HOOK_FILE) if folder and os.path.isdir(folder) else None


def _numbers(function: str, values: Mapping[str, SupportsFloat]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in values.items():
        number = as_number(value)
        if number is None:
            found = f"{name} = {value!r}"[:120]
            raise SettingsError(f"ablata.{function} takes numbers", found=found, do=f"{function}(acc=0.91)")
        numbers[name] = number
    return numbers


def as_number(value: Any) -> float | None:
    """Return a number, or an array or tensor of one number, as a number; None for anything else."""
    if isinstance(value, str | bytes):
        return None
    try:
        # A tensor with a gradient warns where it is read without this.
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError):
        return None


def _step(step: SupportsInt) -> int:
    try:
        whole = int(step)
        if whole >= 0 and not isinstance(step, str) and math.isfinite(float(whole)):
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise SettingsError("A step must be a whole number from 0 on", found=repr(step)[:80], do="log(step=3, loss=0.2)")


def _append(file: Path, row: dict[str, Any]) -> None:
    # One write, at the end of the file: the processes of one program may share it.
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (json.dumps(row) + "\n").encode())
    finally:
        os.close(handle)
