"""Runs of a loop, trained in this process one after the other; one that another process trains is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from ablata.base.errors import LeaseLostError, RecordError, StoppedError
from ablata.records.ledger import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import NewRun, RunRow
from ablata.records.writer import RunWriter, new_launch
from ablata.studies.chain import lineage
from ablata.studies.identity import new_run, record_environment, release_orphan
from ablata.studies.workers.functions import execute_function
from ablata.studies.workers.worker import LEASE_SECONDS, StopOnSignal, train_claim
from ablata.trainers.any import Outside
from ablata.trainers.function import Function

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_POLL_SECONDS = 0.5
OVER = ("completed", "diverged", "failed")


class RunTrainer:
    """Trains single runs.

    Args:
        ledger: where they are recorded.
        say: called with a line about code and workers.
        launch: of processes that train side by side; None: a new one.
    """

    def __init__(
        self, ledger: Ledger, say: Callable[[str], None] = lambda line: None, launch: str | None = None
    ) -> None:
        self.ledger, self.say = ledger, say
        self.environment, self._launch = record_environment(ledger), launch or new_launch()

    def identity(self, trainer: Recipe | Outside, seed: int) -> NewRun:
        """Return what a run is, after all that it starts from was trained.

        Raises:
            UserError: the data is missing.
        """
        parent: str | None = None
        *older, _ = lineage(trainer)
        for one in older:
            run = self.ledger.runs.enqueue(new_run(self.ledger, one, seed, self.environment, parent))
            parent = self.ended(one, run).id
        return new_run(self.ledger, trainer, seed, self.environment, parent)

    def ended(self, trainer: Recipe | Outside, run: RunRow, *, waits: bool = True) -> RunRow:
        """Train a run to its end, or wait for the process that does, and return it as it ended.

        Args:
            trainer: what it runs.
            run: the run.
            waits: False: where another process trains it, return it as it is.

        Raises:
            KeyboardInterrupt: asked to stop; what was trained is saved.
        """
        if run.state in ("failed", "cancelled"):
            self.ledger.runs.requeue(run.id)
        while (run := self.ledger.runs.get(run.id)).state not in OVER:
            release_orphan(self.ledger, run)
            try:
                claim = self.ledger.leases.claim_run(run.id, worker_name(), LEASE_SECONDS, self._launch)
            except RecordError:
                if not waits:
                    return self.ledger.runs.get(run.id)
                time.sleep(_POLL_SECONDS)
                continue
            signals = StopOnSignal()
            # Python hears signals on its main thread alone.
            is_main = threading.current_thread() is threading.main_thread()
            with signals.listening() if is_main else nullcontext(), suppress(LeaseLostError, StoppedError):
                if isinstance(trainer, Function):
                    with RunWriter(self.ledger, claim) as writer:
                        execute_function(writer, trainer, signals)
                else:
                    train_claim(self.ledger, claim, None, 1, signals, False, self.say)
            if signals.asked:
                raise KeyboardInterrupt
        return run
