"""Claims: a run belongs to one worker for a lease, and only its current attempt may write about it.

Each claim raises the run's attempt by one. Every write names its attempt and takes effect only while that is the run's
current one and the run is running: compare and set. A lease that lapsed by itself takes nothing away; being claimed by
another does.

A lease is judged twice: it has lapsed by the database's clock, and whoever claims the run has itself seen no heartbeat
for a while by a clock that cannot be set. So a clock that jumps ahead takes no run from a living worker.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from ablata.base.errors import LeaseLostError, RecordError
from ablata.records.database import LOG, Database
from ablata.records.rows import SEVERAL, Claim, EndState, RunRow
from ablata.records.runs import RUN_COLUMNS, find_run, own_settings, run_settings
from ablata.records.tables import Arm, Run, StudyRun, StudyTable
from ablata.records.values import clock

SILENCE_SECONDS = 20.0
"""How long a claimer sees no heartbeat, at least, before it takes a run whose lease has lapsed; workers beat each 15
seconds or more often."""


class Leases:
    """Who trains what in a ledger.

    A run with a parent can be taken once that has completed or diverged.

    The filters of `claim`, `waiting_count` and `open_count`: `study` keeps to the runs of the open arms of one study
    and those they start from, `environment` and `code` to runs enqueued for one environment class and one code
    fingerprint, so that a worker never trains a run under an identity it does not have. `code` also admits `code-...`:
    the same code and a user's own files; several codes admit each. `without` leaves runs out by their ids.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, tuple[tuple[int, float | None], float]] = {}

    def claim(
        self,
        worker: str,
        lease_seconds: float,
        *,
        study: str | None = None,
        environment: str | None = None,
        code: str | Collection[str] | None = None,
        without: Collection[str] = (),
        only: Collection[str] | None = None,
        relabel: str | None = None,
        launch: str | None = None,
    ) -> Claim | None:
        """Take the next run: one that waits, or one whose worker was silent for longer than its lease.

        A run whose lease has lapsed is taken by a call that comes `SILENCE_SECONDS` after the first that met it.

        Args:
            worker: a name people can find the worker by, such as host and process id.
            lease_seconds: how long the worker may be silent before others may take over.
            study: see the class.
            environment: see the class.
            code: see the class.
            without: see the class.
            only: ids of the runs to choose from; None: any.
            relabel: the environment class the run becomes one of when it is taken, for a worker that takes runs of any
                class; a run is left alone while an equal one of that class is alive.
            launch: what started the worker, together with those whose times its runs' times may be compared with.

        Returns:
            The claim, or None if really nothing can be claimed: a lost race is tried again.
        """
        filters = [*_filters(study, environment, code, without), *([_no_twin(relabel)] if relabel else [])]
        filters += [] if only is None else [Run.id.in_(only)]
        while True:
            with suppress(IntegrityError), self._database.write() as connection:
                which = and_(_free(self._silent(connection)), *filters)
                claim = _take(connection, which, worker, lease_seconds, environment=relabel, launch=launch)
                if claim or self._database.is_sqlite or not _count(connection, which):
                    return claim
            # The rows there are were locked by others, who may yet leave them, or a twin appeared: this is a lost race,
            # not an empty queue.
            time.sleep(random.uniform(0.002, 0.02))

    def claim_run(self, run_id: str, worker: str, lease_seconds: float, launch: str | None = None) -> Claim:
        """Take one run by its id; the other arguments are those of `claim`.

        Raises:
            RecordError: it is trained by another worker, or has ended.
        """
        first: tuple[int, float | None] | None = None
        while True:
            with self._database.write() as connection:
                run, silent = find_run(connection, run_id), self._silent(connection)
                which = and_(Run.id == run.id, _free(silent))
                claim = _take(connection, which, worker, lease_seconds, skip_locked=False, launch=launch)
                if claim is not None:
                    return claim
                run = find_run(connection, run.id)
                lapsed = connection.scalar(select(Run.id).where(Run.id == run.id, _claimable())) is not None
                sign = self._seen[run.id][0] if run.id in self._seen else None
            if not lapsed or run.id in silent or (first and sign != first):
                break
            if first is None:
                first = sign
                LOG.warning("the lease of run %s has lapsed; looking for a sign of life of %s", run.id, run.owner)
            time.sleep(min(1.0, SILENCE_SECONDS))
        now = f"run {run.id} is {run.state}"
        if run.state == "running":
            now += f" at {run.owner}" + (
                ", which gave a sign of life: its clock is another" if first and lapsed else ""
            )
        raise RecordError(
            "A run can be taken while it waits, or when its worker has been silent for longer than its lease",
            found=now,
            do="wait for it" if run.state == "running" else "put it back if it failed, look at its scores otherwise",
        )

    def _silent(self, connection: Connection) -> list[str]:
        """Return the runs whose lease has lapsed and whose workers have given no sign for long enough."""
        now, silent = time.monotonic(), []
        query = select(Run.id, Run.attempt, Run.heartbeat, Run.lease_until).where(_lapsed())
        rows = connection.execute(query).all()
        self._seen = {row.id: self._seen[row.id] for row in rows if row.id in self._seen}
        for row in rows:
            sign, since = self._seen.setdefault(row.id, ((row.attempt, row.heartbeat), now))
            if sign != (row.attempt, row.heartbeat):
                self._seen[row.id] = ((row.attempt, row.heartbeat), now)
            elif now - since >= max(SILENCE_SECONDS, (row.lease_until - (row.heartbeat or 0)) / 2):
                silent.append(row.id)
        return silent

    def heartbeat(self, run_id: str, attempt: int, lease_seconds: float) -> None:
        """Renew the lease: it now ends `lease_seconds` from now by the database's clock.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        with self._database.write() as connection:
            set_fields(connection, run_id, attempt, heartbeat=clock(), lease_until=clock() + lease_seconds)

    @contextmanager
    def held(self, run_id: str, attempt: int) -> Iterator[None]:
        """Keep the run with this attempt inside the block, for less than the time that others wait for a lock.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        with self._database.write() as connection:
            hold(connection, run_id, attempt)
            yield

    def place(self, run_id: str, attempt: int, recipe_hash: str, settings: dict[str, Any]) -> None:
        """Record the settings that a run is trained with, as far as its recipe's hash leaves them open.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        with self._database.write() as connection:
            set_fields(connection, run_id, attempt, settings=own_settings(connection, recipe_hash, settings))

    def progress(self, run_id: str, attempt: int, progress: dict[str, Any]) -> None:
        """Record what the training loop says about itself (step, steps, losses, seconds left, ...).

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        with self._database.write() as connection:
            set_fields(connection, run_id, attempt, progress=progress)

    def release(self, run_id: str, attempt: int, reason: str) -> None:
        """Give a run back, to be resumed later by whoever claims it.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        with self._database.write() as connection:
            set_fields(connection, run_id, attempt, state="waiting", owner=None, lease_until=None, stop_reason=reason)

    def finish(
        self,
        run_id: str,
        attempt: int,
        state: EndState,
        *,
        scores: dict[str, Any] | None = None,
        cost: dict[str, Any] | None = None,
        error: str | None = None,
        stop_reason: str | None = None,
    ) -> None:
        """End a run. Accepted after the lease has lapsed too, as long as nobody claimed the run; harmless if repeated.

        Args:
            run_id: the run's id.
            attempt: the attempt that ends it.
            state: completed; diverged (final: the recipe's own doing); failed (the machine's: it can be put back).
            scores: figures by protocol-named metric.
            cost: seconds, peak memory and the like.
            error: what went wrong, for people.
            stop_reason: why training ended when it did.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        if state not in ("completed", "failed", "diverged"):
            raise ValueError(f"a run ends as completed, failed or diverged, not {state!r}")
        with self._database.write() as connection:
            current = find_run(connection, run_id)
            if (current.attempt, current.state) == (attempt, state):
                return
            ending = {"scores": scores, "cost": cost, "error": error, "stop_reason": stop_reason}
            set_fields(connection, run_id, attempt, state=state, lease_until=None, finished=clock(), **ending)

    def waiting_count(
        self, *, study: str | None = None, environment: str | None = None, code: str | Collection[str] | None = None
    ) -> int:
        """Return how many runs could be claimed now."""
        with self._database.read() as connection:
            return _count(connection, and_(_claimable(), *_filters(study, environment, code)))

    def open_count(
        self,
        *,
        study: str | None = None,
        environment: str | None = None,
        code: str | Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> int:
        """Return how many runs wait or run: 0 means that all is done, not only that nothing is free now."""
        with self._database.read() as connection:
            return _count(
                connection, and_(Run.state.in_(("waiting", "running")), *_filters(study, environment, code, without))
            )


def set_fields(connection: Connection, run_id: str, attempt: int, **values: Any) -> None:
    """Compare and set: change a running run if `attempt` is its current one; LeaseLostError otherwise."""
    change = update(Run).where(*_held(run_id, attempt)).values(**values)
    if connection.execute(change).rowcount == 0:
        raise lease_lost(connection, run_id, attempt)


def hold(connection: Connection, run_id: str, attempt: int) -> int:
    """Keep the run with `attempt` until the transaction ends and return its number; LeaseLostError if it is lost."""
    query = select(Run.number).where(*_held(run_id, attempt)).with_for_update(read=True)
    number = connection.scalar(query)
    if number is None:
        raise lease_lost(connection, run_id, attempt)
    return number


def lease_lost(connection: Connection, run_id: str, attempt: int) -> LeaseLostError:
    """Return the error that says who holds the run instead."""
    row = connection.execute(select(Run.state, Run.attempt, Run.owner).where(Run.id == run_id)).one_or_none()
    now = f"is {row.state}, attempt {row.attempt} by {row.owner or 'nobody'}" if row else "is not in this ledger"
    return LeaseLostError(
        "A worker may write about a run only while it holds it",
        found=f"run {run_id} {now}; this was attempt {attempt}",
        do="stop this training; the run goes on elsewhere, and nothing it had saved is lost",
    )


def _held(run_id: str, attempt: int) -> tuple[ColumnElement[bool], ...]:
    return (Run.id == run_id, Run.attempt == attempt, Run.state == "running")


def _claimable() -> ColumnElement[bool]:
    return and_(or_(Run.state == "waiting", _lapsed()), _ready())


def _free(silent: Collection[str]) -> ColumnElement[bool]:
    """Tell that a run waits, or is one of those whose workers were seen to be silent."""
    if not silent:  # the queue's index answers this one without a look at every waiting run
        return and_(Run.state == "waiting", _ready())
    return and_(or_(Run.state == "waiting", and_(_lapsed(), Run.id.in_(silent))), _ready())


def _lapsed() -> ColumnElement[bool]:
    return and_(Run.state == "running", Run.lease_until < clock())


def _ready() -> ColumnElement[bool]:
    """Tell that a run starts from nothing, or from a run that has ended for good."""
    parent = aliased(Run)
    ended = exists().where(parent.id == Run.parent, parent.state.in_(("completed", "diverged")))
    return or_(Run.parent.is_(None), ended)


def _filters(
    study: str | None, environment: str | None, code: str | Collection[str] | None, without: Collection[str] = ()
) -> list[ColumnElement[bool]]:
    filters: list[ColumnElement[bool]] = [Run.id.not_in(without)] if without else []
    if study is not None:
        filters.append(_of_study(study))
    if environment is not None:
        filters.append(Run.environment == environment)
    if code is not None:
        codes = (code,) if isinstance(code, str) else code
        filters.append(or_(*(or_(Run.code == one, Run.code.startswith(f"{one}-", autoescape=True)) for one in codes)))
    return filters


def _of_study(name: str) -> ColumnElement[bool]:
    """Tell that a run is of an open arm of a study, or one that such a run starts from.

    Asked of one run after the other, in the queue's order: the first of many thousands is found without a list of all.
    Few runs start from another, so their own list is short.
    """

    def is_cell(run: type[Run]) -> ColumnElement[bool]:
        cells = select(StudyRun.run_id).join(Arm, Arm.id == StudyRun.arm_id)
        cells = cells.join(StudyTable, StudyTable.id == Arm.study_id)
        return cells.where(StudyRun.run_id == run.id, StudyTable.name == name, Arm.state == "open").exists()

    child, later = aliased(Run), aliased(Run)
    needed = select(child.parent.label("id")).where(child.parent.is_not(None), is_cell(child)).cte(recursive=True)
    older = select(later.parent).join(needed, later.id == needed.c.id).where(later.parent.is_not(None))
    return or_(is_cell(Run), Run.id.in_(select(needed.union(older).c.id)))


def _no_twin(environment: str) -> ColumnElement[bool]:
    """Tell that no equal run of another environment class is alive."""
    twin = aliased(Run)
    same = [getattr(twin, key) == getattr(Run, key) for key in ("recipe_hash", "code", "data", "seed")]
    alive = twin.state.not_in(("failed", "cancelled"))
    return ~exists().where(*same, twin.environment == environment, alive, twin.id != Run.id)


def _count(connection: Connection, which: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count()).select_from(Run).where(which)) or 0


def _take(
    connection: Connection,
    which: ColumnElement[bool],
    worker: str,
    lease_seconds: float,
    *,
    skip_locked: bool = True,
    environment: str | None = None,
    launch: str | None = None,
) -> Claim | None:
    candidate: Select[Any] = select(Run.id).where(which).order_by(Run.priority.desc(), Run.number).limit(1)
    run_id = connection.scalar(candidate.with_for_update(skip_locked=skip_locked))
    if run_id is None:
        return None
    change = update(Run).where(Run.id == run_id)
    change = change.values(
        state="running",
        attempt=Run.attempt + 1,
        environment=environment or Run.environment,
        owner=worker,
        lease_until=clock() + lease_seconds,
        heartbeat=clock(),
        started=case((Run.started.is_(None), clock()), else_=Run.started),
        stop_reason=None,
        launch=case((or_(Run.launch.is_(None), Run.launch == launch), launch), else_=SEVERAL),
    )
    run = RunRow(*connection.execute(change.returning(*RUN_COLUMNS)).one())
    return Claim(run, run_settings(connection, run.id), lease_seconds)
