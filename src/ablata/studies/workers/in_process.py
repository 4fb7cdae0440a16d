"""Functions of a study called in this process, one after the other, in place of worker processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

from ablata.base.errors import LeaseLostError
from ablata.engine.reporting import Reporter
from ablata.records.database import PATIENCE_SECONDS, persist
from ablata.records.ledger import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import Claim
from ablata.records.writer import RunWriter, new_launch
from ablata.studies.assess import ENDED
from ablata.studies.identity import new_run, record_environment
from ablata.studies.workers.functions import execute_function
from ablata.studies.workers.worker import LEASE_SECONDS
from ablata.trainers.function import FUNCTION_CODE, Function

_SECONDS = 1.0


def first_scores(ledger: Ledger, function: Function, seed: int) -> tuple[str, ...]:
    """Call a function once in this process, or find that run, and return the names of its scores.

    The run is a study's like any other.

    Args:
        ledger: where it is recorded.
        function: what is called.
        seed: its seed.

    Returns:
        The names; none where it failed.
    """
    run = ledger.runs.enqueue(new_run(ledger, function, seed, record_environment(ledger)))
    if run.state not in ENDED:
        claim = ledger.leases.claim_run(run.id, worker_name(), LEASE_SECONDS, new_launch())
        with RunWriter(ledger, claim) as writer:
            execute_function(writer, function, Reporter())
    return tuple(ledger.runs.get(run.id).scores or ())


class InProcess:
    """Stands for a pool of workers where the functions live in this process. Use it as a context, as a `Pool`.

    Args:
        ledger: where the study is.
        study: its name.
        functions: the function of each arm by name.
    """

    def __init__(self, ledger: Ledger, study: str, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self.log = ledger.home / "logs" / f"{study}.log"
        self._ledger, self._study = ledger, study
        self._environment, self._launch = record_environment(ledger), new_launch()
        self._by_hash = {arm.recipe_hash: functions[arm.name] for arm in ledger.studies.arms(study)}
        self._worked = False

    def lost_one(self) -> bool:
        """Tell whether a run has ended since the last `keep`, so that there is something to look at."""
        return self._worked

    def keep(self, owners: set[str], to_train: int) -> dict[str, int]:
        """Take runs that wait and call their functions; returns no workers that ended, there being none.

        Short ones are called one after the other for a second: the look at the study after it takes its time, too.

        Raises:
            KeyboardInterrupt: interrupted; the run waits in the ledger.
        """
        end = time.monotonic() + _SECONDS
        self._worked = False
        while (claim := self._claim()) is not None:
            self._worked = True
            # Whoever took a run over that was silent for too long writes about it.
            with suppress(LeaseLostError), RunWriter(self._ledger, claim) as writer:
                completed = execute_function(writer, self._by_hash[claim.run.recipe_hash], Reporter())
                # A control that failed ends the study.
                end = end if completed else 0.0
            if time.monotonic() > end:
                break
        return {}

    def _claim(self) -> Claim | None:
        return persist(
            lambda: self._ledger.leases.claim(
                worker_name(), LEASE_SECONDS, study=self._study, environment=self._environment, code=FUNCTION_CODE,
                launch=self._launch,
            ),
            patience=PATIENCE_SECONDS,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        """Nothing has to be ended."""
