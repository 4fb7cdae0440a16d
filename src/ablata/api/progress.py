"""What is shown while a training or a study runs: live in a terminal, a line at a time elsewhere, or nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ablata.base.quantities import duration, quantity
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.reporting import Progress as TrainingState
from ablata.records.ledger import Ledger
from ablata.records.rows import Claim, RunRow
from ablata.reports.collect import study_view
from ablata.reports.console import new_console
from ablata.reports.terminal import progress_words, study_status
from ablata.reports.view import StudyView

if TYPE_CHECKING:
    from ablata.engine.train import TrainResult

_SILENCE_SECONDS = 30.0
"""Where there is no live bar, a line is printed at least this often."""
_REFRESH_SECONDS = 1.0
_ENDED = ("completed", "diverged")


def progress_console(wanted: bool | None) -> Console:
    """Return the console of standard error, where progress goes.

    Args:
        wanted: True: shown anywhere; False: nowhere; None: in a notebook, and where standard error is a terminal.
    """
    console = new_console(stderr=True)
    console.quiet = not (console.is_terminal or console.is_jupyter if wanted is None else wanted)
    return console


class TrainingProgress(Reporter):
    """Shows trainings as they go. Use it as a context around each.

    Args:
        console: where to; a quiet one shows nothing.
        ended: called with each run that has ended: the run, what its training delivered (None if it diverged, or had
            ended before), and whether it is the one asked for (False for one that it starts from).
    """

    def __init__(
        self,
        console: Console,
        ended: Callable[[RunRow, TrainResult | None, bool], None] = lambda run, outcome, last: None,
    ) -> None:
        self.console, self.ended = console, ended
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("training", text="", total=None)
        self._newest: TrainingState | None = None
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """Print a line as it is, without markup."""
        self.console.print(Text(line))

    def claimed(self, claim: Claim) -> None:
        """Print which run begins, and whether it goes on where an earlier attempt was saved."""
        run = claim.run
        self.say(f"run {run.id}: {run.recipe_name}, seed {run.seed}, recipe {run.recipe_hash}")
        if claim.resumed:
            self.say(f"attempt {run.attempt}: goes on where the last one was saved")

    def start(self, facts: dict[str, Any]) -> None:
        """Print device, precision, size and learning rate."""
        processes = f", {facts['processes']} processes" if facts["processes"] > 1 else ""
        self.say(f"{facts['device']}{processes}, {facts['precision']}")
        self.say(
            f"{quantity(facts['parameters'])} parameters, {quantity(facts['flops'])} multiply-adds an image; "
            f"{facts['learning_rate']}"
        )
        begun = f", from step {facts['step']}" if facts["step"] else ""
        self.say(f"{facts['total']} steps, {facts['steps_per_epoch']} an epoch{begun}")

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Print the scores of an evaluation, those of single classes (SPLIT/PROTOCOL/SCORE/CLASS) left out."""
        scores = [row for row in rows if not row[1].startswith("train/") and row[1].count("/") < 3]
        if scores:
            text = ", ".join(f"{name} {value:.4g}" for _, name, value in scores)
            state, self._newest = self._newest, None  # each mean of the losses is told once
            losses = f"; loss {_losses(state)}{_time_left(state)}" if state else ""
            self._tell(f"step {scores[0][0]}: {text}{losses}")

    def event(self, level: str, kind: str, text: str) -> None:
        """Print an event."""
        self.say(f"{level}: {text}")

    def progress(self, progress: TrainingState) -> None:
        """Move the bar."""
        self._newest = progress
        text = (
            f"{progress.step}/{progress.total} steps, loss {_losses(progress)}, "
            f"{quantity(progress.images_per_second)} images/s{_time_left(progress)}"
        )
        if not self.console.is_terminal and time.monotonic() - self._said > _SILENCE_SECONDS:
            self._tell(text)
        self._bar.update(self._task, completed=progress.step, total=progress.total, text=text)

    def _tell(self, text: str) -> None:
        self.say(text)
        self._said = time.monotonic()


def _losses(state: TrainingState) -> str:
    if len(state.losses) == 1:
        return f"{next(iter(state.losses.values())):.4f}"
    return " ".join(f"{name} {value:.4f}" for name, value in state.losses.items())


def _time_left(state: TrainingState) -> str:
    """Return how long it will take, as a clause; nothing before the first timed step and at the end."""
    known = math.isfinite(state.seconds_left) and state.step < state.total
    return f", {duration(state.seconds_left)} left" if known else ""


class StudyDisplay:
    """Shows a running study: a live table in a terminal, a line a run elsewhere. Use it as a context.

    Args:
        ledger: where the study is.
        name: its name.
        console: where to; a quiet one shows nothing.
    """

    def __init__(self, ledger: Ledger, name: str, console: Console) -> None:
        self._ledger, self._name, self._console = ledger, name, console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._updated = 0.0
        self._told: set[tuple[str, int]] = set()
        self._stopped: set[str] = set()
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        for cell in self._ledger.studies.cells(self._name):
            if cell.run.state in _ENDED:
                self._told.add((cell.arm, cell.seed))
        self._stopped = {arm.name for arm in self._ledger.studies.arms(self._name) if arm.state == "stopped"}
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        elif kind is None and not self._console.quiet:
            # What came in the last second.
            self._tell(study_view(self._ledger, self._name, curves=False))

    def say(self, line: str) -> None:
        """Print a line as it is, without markup."""
        self._console.print(Text(line))

    def update(self) -> None:
        """Show what is new, at most once a second."""
        if self._console.quiet:
            return
        if time.monotonic() - self._updated < _REFRESH_SECONDS:
            return
        self._updated = time.monotonic()
        view = study_view(self._ledger, self._name, curves=False)
        self._warn(view)
        if self._live is not None:
            self._live.update(study_status(view), refresh=True)
        else:
            self._tell(view)

    def _warn(self, view: StudyView) -> None:
        """Say at once what makes the study worthless, so that it can be stopped; each kind once."""
        for words in view.impossible if not view.finished else ():
            kind = words.partition(":")[2] or words.partition(" have ")[2]
            if kind not in self._warned:
                self._warned.add(kind)
                self.say(f"warning: {words}")

    def _tell(self, view: StudyView) -> None:
        for arm in view.arms:
            for seed in arm.seeds:
                if seed.state in _ENDED and (arm.name, seed.seed) not in self._told:
                    self._told.add((arm.name, seed.seed))
                    state = arm.lost_word if seed.state == "diverged" else seed.state
                    score = "" if seed.score is None else f" {view.metric.name} {seed.score:.6g}"
                    self.say(f"{arm.name}, seed {seed.seed}: {state}{score}   ({progress_words(view) or 'done'})")
            if arm.verdict and not arm.open and arm.name not in self._stopped:
                self._stopped.add(arm.name)
                self.say(f"arm {arm.name}: {arm.reason}")
