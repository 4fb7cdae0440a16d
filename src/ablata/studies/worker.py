"""A worker: a process that claims runs from the ledger and trains them, one after the other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ablata.base.errors import AblataError, LeaseLostError, RunError, StoppedError
from ablata.engine.reporting import Reporter
from ablata.records.fingerprint import code_fingerprint
from ablata.records.ledger import Ledger
from ablata.records.writer import RunWriter, worker_name
from ablata.recipes.index import restore_recipe
from ablata.studies.execution import execute
from ablata.studies.identity import cache_folder, record_environment

LEASE_SECONDS = 30.0
_POLL_SECONDS = 0.2


class StopOnSignal(Reporter):
    """Asks the training to stop after its step once an interrupt or a termination signal has come."""

    def __init__(self) -> None:
        self.asked = False

    def stop_reason(self) -> str | None:
        """Return `asked` after a signal."""
        return "asked" if self.asked else None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGINT and SIGTERM inside a `with` block; a second signal is not caught."""

        def ask(number: int, frame: FrameType | None) -> None:
            self.asked = True
            for name, handler in before.items():
                signal.signal(name, handler)

        before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
        for name in before:
            signal.signal(name, ask)
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def work(
    ledger: Ledger,
    *,
    study: str | None = None,
    threads: int | None = None,
    idle_exit: bool = False,
) -> int:
    """Claim and train runs until there is nothing left to do.

    Args:
        ledger: where runs wait.
        study: keep to one study's runs and end when it is finished; None takes any run.
        threads: processor threads for each training; the recipe's own number counts if it is lower.
        idle_exit: end as soon as nothing waits or runs, instead of waiting for more.

    Returns:
        How many runs this worker completed.
    """
    done, parent, signals = 0, os.getppid(), StopOnSignal()
    environment = record_environment(ledger)
    with signals.listening():
        while not signals.asked:
            claim = ledger.leases.claim(
                worker_name(), LEASE_SECONDS, study=study, environment=environment, code=code_fingerprint()
            )
            if claim is None:
                if _over(ledger, study, idle_exit) or os.getppid() != parent:
                    break
                _refuse_other_code(ledger, study)
                time.sleep(_POLL_SECONDS)
                continue
            recipe = restore_recipe(claim.recipe, claim.run.recipe_name, source=f"run {claim.run.id}")
            if threads is not None and threads < (recipe.compute.threads or threads + 1):
                compute = recipe.compute.model_copy(update={"threads": threads})
                recipe = recipe.model_copy(update={"compute": compute})
            with suppress(LeaseLostError, StoppedError, AblataError), RunWriter(ledger, claim) as writer:
                done += execute(writer, recipe, cache_folder(ledger), signals) is not None
    return done


def _over(ledger: Ledger, study: str | None, idle_exit: bool) -> bool:
    if study is not None and ledger.studies.get(study).state == "finished":
        return True
    return idle_exit and ledger.leases.open_count(study=study, code=code_fingerprint()) == 0


def _refuse_other_code(ledger: Ledger, study: str | None) -> None:
    """End a study's worker whose code is not the one that the waiting runs are meant for: it would wait for ever."""
    if study is None or not ledger.leases.waiting_count(study=study):
        return
    if ledger.leases.open_count(study=study, code=code_fingerprint()) == 0:
        raise RunError(
            "A worker must run the code that its runs were enqueued for",
            found=f"study {study} waits for other code; ablata's sources were changed after it was launched",
            do=f"launch it again: ablata study run {study}",
        )
