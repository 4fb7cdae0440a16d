"""A worker: a process that claims runs from the ledger and trains them, one after the other."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from ablata.base.errors import AblataError, LeaseLostError, RecordError, RunError, listing
from ablata.base.generators import result_of
from ablata.engine.reporting import Reporter
from ablata.records.database import PATIENCE_SECONDS, persist
from ablata.records.ledger import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import Claim
from ablata.records.run_folder.code import run_code
from ablata.records.writer import RunWriter, new_launch
from ablata.studies.identity import (
    cache_folder,
    code_in,
    codes,
    own_files,
    record_environment,
    refuse_other_data,
    restore_trainer,
)
from ablata.studies.workers.commands import execute_command
from ablata.studies.workers.functions import execute_function
from ablata.studies.workers.together import Companions, Together
from ablata.trainers.command import Command
from ablata.trainers.function import Function

if TYPE_CHECKING:
    from ablata.engine.loop import Part

LEASE_SECONDS = 30.0
_POLL_SECONDS = 0.2
_NOTICE_SECONDS = 5.0


class StopOnSignal(Reporter):
    """Asks the training to stop after its step once an interrupt or a termination signal has come.

    Args:
        parent: process id of the launcher; the training stops too once that is gone. None: nobody's child.
        notice: printed to standard error at the first signal, or None.
    """

    def __init__(self, parent: int | None = None, notice: str | None = None) -> None:
        self.asked = False
        self._parent, self._notice = parent, notice

    def stop_reason(self) -> str | None:
        """Return `asked` after a signal, or once the launcher is gone."""
        orphaned = self._parent is not None and os.getppid() != self._parent
        return "asked" if self.asked or orphaned else None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGINT, SIGTERM and a SIGHUP that is not ignored (nohup); a second signal is not caught."""

        def ask(number: int, frame: FrameType | None) -> None:
            """Ask the training to stop; a second signal is not held back."""
            self.asked = True
            for name, handler in before.items():
                signal.signal(name, handler)
            if number == signal.SIGHUP:
                # What is written to a terminal that is gone raises, and the training still has to be saved.
                for stream in terminals:
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            elif self._notice:
                # Not print: the signal may have come in the middle of one.
                os.write(sys.stderr.fileno(), f"{self._notice}\n".encode())

        before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        if before[signal.SIGHUP] is signal.SIG_IGN:
            del before[signal.SIGHUP]
        terminals = [stream for stream in (1, 2) if os.isatty(stream)]
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
    idle_seconds: float = 0.0,
    any_environment: bool = False,
    parent: int | None = None,
    launch: str | None = None,
    beside: int = 1,
    trust_code: bool = False,
    together: Together | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Claim and train runs until there is nothing left to do.

    Args:
        ledger: where runs wait.
        study: keep to one study's runs and end when it is finished; None takes any run.
        threads: processor threads for each training; the recipe's own number counts if it is lower.
        idle_exit: end once nothing waits or runs, instead of waiting for more.
        idle_seconds: how long it must have been so.
        any_environment: take runs meant for other machines too, under this machine's environment class; their pairs
            count as unpaired.
        parent: process id of the launcher; this worker ends once that is gone.
        launch: what started this worker, among others perhaps: times are compared within it; None: it is alone.
        beside: how many workers that launch keeps side by side.
        trust_code: whether code that came with an imported study may be run; runs that need it are left otherwise.
        together: how many runs of one network are trained together; None: each is trained by itself.
        say: called with a line about runs that wait but cannot be taken.

    Returns:
        How many runs this worker completed.

    Raises:
        RecordError: there is no such study, or all that is left of it needs code that is not trusted.
        RunError: the study's runs are meant for other code.
    """
    ledger.files.ready(say=say)
    environment = record_environment(ledger)
    which: dict[str, Any] = {"study": study, "environment": None if any_environment else environment, "code": codes()}
    relabel, launch = environment if any_environment else None, launch or new_launch()
    signals, notices, done = StopOnSignal(parent), _Notices(ledger, study, environment, any_environment, say), 0
    refused: dict[str, RecordError] = {}
    companions = Companions(ledger, study, together or Together(), beside)
    idle_since: float | None = None
    with signals.listening():
        while not signals.stop_reason():

            def take(only: Sequence[str] | None = None) -> Claim | None:
                return persist(
                    lambda: ledger.leases.claim(
                        worker_name(), LEASE_SECONDS, relabel=relabel, without=tuple(refused), only=only,
                        launch=launch, **which,
                    ),
                    patience=PATIENCE_SECONDS,
                )  # fmt: skip

            claim = take()
            if claim is not None:
                idle_since = None
                others = companions.ids(claim)
                claims = [claim, *filter(None, (take(others) for _ in others))]
                companions.tell(claims)
                try:
                    done += train_claims(ledger, claims, threads, beside, signals, trust_code, say)
                except RecordError as error:
                    refused[claim.run.id] = error
                continue
            if study is not None and ledger.studies.get(study).state == "finished":
                break
            left = ledger.leases.open_count(without=tuple(refused), **which)
            if refused and left == 0 and (study is not None or idle_exit):
                raise next(iter(refused.values()))
            idle_since = None if left else idle_since or time.monotonic()
            if idle_exit and idle_since is not None and time.monotonic() - idle_since >= idle_seconds:
                notices.tell()
                break
            _refuse_other_code(ledger, study)
            notices.tell()
            time.sleep(_POLL_SECONDS)
    return done


def train_claims(
    ledger: Ledger,
    claims: Sequence[Claim],
    threads: int | None,
    beside: int,
    signals: StopOnSignal,
    trust: bool,
    say: Callable[[str], None],
) -> int:
    """Train claimed runs, several of them together; whatever ends each is in the ledger afterwards.

    Returns:
        How many completed.

    Raises:
        RecordError: one alone needs code that came from elsewhere and is not trusted; it waits in the ledger.
    """
    if len(claims) == 1:
        return int(train_claim(ledger, claims[0], threads, beside, signals, trust, say))
    trainings = [claim_training(ledger, claim, threads, beside, signals, trust, say, together=True) for claim in claims]
    from ablata.engine.together.group import train_together

    return sum(bool(ended.result) for ended in train_together(trainings))


def train_claim(
    ledger: Ledger,
    claim: Claim,
    threads: int | None,
    beside: int,
    signals: StopOnSignal,
    trust: bool,
    say: Callable[[str], None],
) -> bool:
    """Train a claimed run; whatever ends it is in the ledger afterwards. Return whether it completed.

    Raises:
        RecordError: it needs code that came from elsewhere and is not trusted; it waits in the ledger.
    """
    return result_of(claim_training(ledger, claim, threads, beside, signals, trust, say))


def claim_training(
    ledger: Ledger,
    claim: Claim,
    threads: int | None,
    beside: int,
    signals: StopOnSignal,
    trust: bool,
    say: Callable[[str], None],
    *,
    together: bool = False,
) -> Generator[Part, None, bool]:
    """Train a claimed run as `train_claim` does, whose errors it has.

    Args:
        ledger, claim, threads, beside, signals, trust, say: as for `work`.
        together: yield at each part of a batch; see `engine.loop.steps`.
    """
    try:
        code = run_code(ledger, claim.run, claim.recipe, trust=trust, say=say)
    except RecordError as error:
        with suppress(LeaseLostError):
            ledger.leases.release(claim.run.id, claim.attempt, str(error))
        say(str(error))
        raise
    try:
        with RunWriter(ledger, claim) as writer:
            recipe = restore_trainer(claim.recipe, source=f"run {claim.run.id}", code=code)
            if code is not None and (line := code.notice()):
                say(line)
                writer.event("info", "code", line)
            if code_in(ledger, recipe) != claim.run.code:
                program = isinstance(recipe, Command)
                files = own_files(recipe)
                raise RunError(
                    "A run must be trained by the code it was enqueued for",
                    found=f"{listing(map(str, files)) if files else claim.run.recipe_name} changed since",
                    do="launch the study again"
                    + ("; if its runs write files of code themselves, say which are its own: --source FILE" * program),
                )
            refuse_other_data(ledger, recipe, claim.run)
            if isinstance(recipe, Command):
                return execute_command(writer, recipe, signals, beside=beside)
            if isinstance(recipe, Function):
                return execute_function(writer, recipe, signals, beside=beside, own_process=True)
            from ablata.studies.workers.execution import executing

            if threads is not None and threads < (recipe.compute.threads or threads + 1):
                compute = recipe.compute.model_copy(update={"threads": threads})
                recipe = recipe.model_copy(update={"compute": compute})
            done = yield from executing(
                writer, recipe, cache_folder(ledger), signals, beside=beside, trust_code=trust, together=together
            )
            return done is not None
    except AblataError:
        return False


class _Notices:
    """Says which runs wait that this worker may not take, each time that changes."""

    def __init__(
        self, ledger: Ledger, study: str | None, environment: str, any_environment: bool, say: Callable[[str], None]
    ) -> None:
        self._ledger, self._study, self._say = ledger, study, say
        self._environment, self._any = environment, any_environment
        self._told: list[str] = []
        self._looked = float("-inf")

    def tell(self) -> None:
        """Look at what waits, at most every five seconds, and say what is new."""
        if time.monotonic() - self._looked < _NOTICE_SECONDS:
            return
        self._looked = time.monotonic()
        lines = self._lines()
        if lines != self._told:
            self._told = lines
            for line in lines:
                self._say(line)

    def _lines(self) -> list[str]:
        waiting = self._ledger.runs.find(state="waiting", study=self._study)
        mine = [run for run in waiting if run.code.partition("-")[0] in codes()]
        lines = []
        if others := len(waiting) - len(mine):
            lines.append(
                f"{others} waiting run{'s' * (others > 1)}: meant for other code than this; launch their studies again"
            )
        classes = Counter(run.environment for run in mine if run.environment != self._environment)
        for name, count in classes.items() if not self._any else ():
            lines.append(
                f"{count} run{'s' * (count > 1)} wait{'s' * (count == 1)} for environment class {self._machine(name)}; "
                f"this machine is {self._machine(self._environment)}. "
                "--any-environment takes them; they then count as unpaired"
            )
        return lines

    def _machine(self, name: str) -> str:
        facts = self._ledger.environments.get(name) or {}
        libraries = facts.get("libraries") or {}
        parts = [
            *(facts.get("accelerators") or [facts.get("processor")]),
            f"torch {libraries.get('torch')}" if libraries else None,
        ]
        known = ", ".join(str(part) for part in parts if part)
        return f"{name} ({known})" if known else name


def _refuse_other_code(ledger: Ledger, study: str | None) -> None:
    """End a study's worker whose code is not the one that the waiting runs are meant for: it would wait for ever."""
    if study is None or not ledger.leases.waiting_count(study=study):
        return
    if ledger.leases.open_count(study=study, code=codes()) == 0:
        raise RunError(
            "A worker must run the code that its runs were enqueued for",
            found=f"study {study} waits for other code; ablata's sources were changed after it was launched",
            do=f"launch it again: ablata study run {study}",
        )
