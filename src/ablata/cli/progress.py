"""Progress of one training: a live bar in a terminal, a line an evaluation elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ablata.cli.console import duration, err, figure, note
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.reporting import Progress as TrainingState

_SILENCE_SECONDS = 30.0
"""Where there is no live bar, a line is printed at least this often."""


class TrainingProgress(Reporter):
    """Shows a training as it goes. Use it as a context."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=err, disable=not err.is_terminal, transient=True)
        self._task = self._bar.add_task("training", text="", total=None)
        self._newest: TrainingState | None = None
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def start(self, facts: dict[str, Any]) -> None:
        """Print device, precision, size and learning rate."""
        processes = f", {facts['processes']} processes" if facts["processes"] > 1 else ""
        note(f"{facts['device']}{processes}, {facts['precision']}; {facts['allocator']}")
        note(
            f"{figure(facts['parameters'])} parameters, {figure(facts['flops'])} multiply-adds an image; "
            f"{facts['learning_rate']}"
        )
        begun = f", from step {facts['step']}" if facts["step"] else ""
        note(f"{facts['total']} steps, {facts['steps_per_epoch']} an epoch{begun}")

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Print the scores of an evaluation."""
        scores = [(step, name, value) for step, name, value in rows if not name.startswith("train/")]
        if scores:
            text = ", ".join(f"{name} {value:.4g}" for _, name, value in scores)
            state = self._newest
            losses = f"; loss {_losses(state)}, {duration(state.seconds_left)} left" if state else ""
            self._say(f"step {scores[0][0]}: {text}{losses}")

    def event(self, level: str, kind: str, text: str) -> None:
        """Print an event."""
        note(f"{level}: {text}")

    def progress(self, progress: TrainingState) -> None:
        """Move the bar."""
        self._newest = progress
        text = (
            f"{progress.step}/{progress.total} steps, loss {_losses(progress)}, "
            f"{figure(progress.images_per_second)} images/s, {duration(progress.seconds_left)} left"
        )
        if not err.is_terminal and time.monotonic() - self._said > _SILENCE_SECONDS:
            self._say(text)
        self._bar.update(self._task, completed=progress.step, total=progress.total, text=text)

    def _say(self, text: str) -> None:
        note(text)
        self._said = time.monotonic()


def _losses(state: TrainingState) -> str:
    if len(state.losses) == 1:
        return f"{next(iter(state.losses.values())):.4f}"
    return " ".join(f"{name} {value:.4f}" for name, value in state.losses.items())
