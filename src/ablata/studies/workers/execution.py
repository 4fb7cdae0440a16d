"""Train one claimed run and write down how it ended."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from ablata.base.errors import AblataError, DivergedError, LeaseLostError, StoppedError
from ablata.base.generators import result_of
from ablata.base.imported_files import module_files, relative_names
from ablata.base.parts import user_modules
from ablata.engine.checkpoints import Attempt
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.loop import Part
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import MetricRow, Progress, Reporter, Reporters
from ablata.engine.train import TrainResult, training
from ablata.records.run_folder.code import keep_code
from ablata.records.writer import RunWriter
from ablata.studies.chain import parent_folder

_FLUSH_SECONDS = 2.0


class LedgerReporter(Reporter):
    """Writes a training's curves, progress and events to the ledger, a batch every two seconds.

    Args:
        writer: the claimed run.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._rows: list[MetricRow] = []
        self._progress: dict[str, Any] | None = None
        self._flushed = 0.0

    def start(self, facts: dict[str, Any]) -> None:
        """Record what became of freed memory: it says much about speed, and nothing that is read while training."""
        self._writer.event("info", "memory", facts["allocator"])

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Keep the points for the next batch."""
        self._rows.extend(rows)

    def rewind(self, step: int) -> None:
        """Forget points of an earlier attempt after `step`."""
        self._writer.truncate_metrics(step)

    def event(self, level: str, kind: str, text: str) -> None:
        """Record an event."""
        self._writer.event("warning" if level == "warning" else "info", kind, text)

    def progress(self, progress: Progress) -> None:
        """Keep the newest state; write it, and the points, when two seconds have passed."""
        self._progress = {
            "step": progress.step,
            "total": progress.total,
            "epoch": progress.epoch,
            "losses": progress.losses,
            "images_per_second": progress.images_per_second,
            "seconds_left": progress.seconds_left if progress.seconds_left == progress.seconds_left else None,
        }
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._write()

    def stop_reason(self) -> str | None:
        """Stop when another worker has taken the run over."""
        return "lost" if self._writer.lost else None

    def flush(self) -> None:
        """Write everything kept so far, down to the disk: what follows, such as a checkpoint, relies on it."""
        self._write()
        self._writer.make_durable()

    def _write(self) -> None:
        if self._rows:
            self._writer.metrics(self._rows)
            self._rows = []
        if self._progress is not None:
            self._writer.progress(self._progress)
            self._progress = None
        self._flushed = time.monotonic()


def execute(
    writer: RunWriter,
    recipe: Recipe,
    cache: Path,
    listener: Reporter,
    group: ProcessGroup | None = None,
    *,
    beside: int = 1,
    trust_code: bool = False,
) -> TrainResult | None:
    """Train a claimed run to its end and record its scores and cost, or how else it ended.

    Args:
        writer: the claim; it is finished, or given back, when this returns.
        recipe: the run's recipe.
        cache: where prepared data is kept.
        listener: also told about everything.
        group: this process's place among several.
        beside: how many workers its launch keeps side by side.
        trust_code: whether the code of a teacher that came from elsewhere may be run.

    Returns:
        What the training delivered; None if it diverged, which is recorded as the run's result.

    Raises:
        StoppedError: asked to stop; the run waits in the ledger to be resumed.
        LeaseLostError: another worker has it.
        UserError: data or settings do not fit; the run is recorded as failed.
    """
    return result_of(executing(writer, recipe, cache, listener, group, beside=beside, trust_code=trust_code))


def executing(
    writer: RunWriter,
    recipe: Recipe,
    cache: Path,
    listener: Reporter,
    group: ProcessGroup | None = None,
    *,
    beside: int = 1,
    trust_code: bool = False,
    together: bool = False,
) -> Generator[Part, None, TrainResult | None]:
    """Train as `execute` does, whose arguments and errors it has; `together` is that of `engine.loop.steps`."""
    ledger_reporter = LedgerReporter(writer)
    reporters = Reporters(ledger_reporter, listener)
    try:
        keep_code(writer.folder, relative_names(module_files(user_modules(recipe))), fence=writer.held)
        older = parent_folder(writer.ledger, recipe, writer.run)
        forks = recipe.parent() is None
        outcome = yield from training(
            recipe, writer.run.seed, writer.folder, cache, reporters, group, None if forks else older,
            fork=older if forks else None, trust_code=trust_code, together=together,
            attempt=Attempt(writer.run.id, writer.claim.attempt, writer.held, writer.keep_files),
        )  # fmt: skip
    except DivergedError as error:
        ledger_reporter.flush()
        writer.event("warning", "diverged", str(error))
        writer.finish("diverged", error=str(error), cost=_cost_so_far(writer))
        return None
    except StoppedError as error:
        ledger_reporter.flush()
        writer.release(str(error))
        raise
    except LeaseLostError:
        raise
    except AblataError as error:
        writer.finish("failed", error=str(error))
        raise
    ledger_reporter.flush()
    writer.finish("completed", scores=outcome.scores, cost=outcome.cost | {"workers": float(beside)})
    return outcome


def _cost_so_far(writer: RunWriter) -> dict[str, Any]:
    started = writer.run.started
    return {"seconds": time.time() - started} if started else {}
