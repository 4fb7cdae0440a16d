"""Research loops: a rule fixed at the start, a stream of proposals, the runs that each was judged by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from ablata.base.errors import RecordError, listing, nearest
from ablata.records.database import ANOTHER_LAB, Database, looked_in
from ablata.records.rows import (
    LoopRow,
    LoopRun,
    NewProposal,
    NewRun,
    Outcome,
    ProposalRow,
    ProposalState,
    RunRole,
    RunRow,
)
from ablata.records.runs import RUN_COLUMNS, insert_ignoring, insert_run, own_settings, with_parents
from ablata.records.studies import check_name
from ablata.records.tables import LoopTable, ProposalRun, ProposalTable, RecipeTable, Run
from ablata.records.values import clock, decode, encode

_LONGEST = 80
_LOOP_COLUMNS = tuple(getattr(LoopTable, field.name) for field in fields(LoopRow))
_PROPOSAL_COLUMNS = tuple(getattr(ProposalTable, field.name) for field in fields(ProposalRow) if field.name != "recipe")


class Loops:
    """The research loops of a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, name: str, spec: dict[str, Any], start: NewProposal, *, budget: float | None, first_seed: int
    ) -> LoopRow:
        """Create a loop, or return the one of this name if it is the same; the budget may be another.

        Args:
            name: unique in the ledger.
            spec: what is fixed: metric, rule, guardrails and the like; JSON-safe.
            start: the state that it starts from, proposal 0.
            budget: seconds of training; None: no end.
            first_seed: seeds count up from here.

        Raises:
            RecordError: a loop of this name exists and differs.
        """
        check_name(name)
        with self._database.write() as connection:
            insert_ignoring(
                connection, LoopTable, {"name": name, "spec": spec, "budget": budget, "best": 0, "created": clock()}
            )
            loop = find_loop(connection, name)
            present = loop_proposals(connection, name)
            if not present:
                _insert(connection, name, 0, start, level=0.0, first_seed=first_seed, state="decided", outcome="keep")
                return loop
            first = present[0]
            # What was typed may differ where it means the same, as a budget does.
            fixed, wanted = ({**one, "commands": None} for one in (loop.spec, decode(encode(spec))))
            if wanted != fixed or first.recipe_hash != start.recipe_hash:
                differing = [*_differing(fixed, wanted), *_differing(first.recipe, start.recipe)]
                typed = next(iter(loop.spec.get("commands") or ()), None)
                raise RecordError(
                    "A loop is fixed when it starts: the same name must mean the same loop",
                    found=f"loop {name!r} was started with {listing(differing) or 'another program'}",
                    do=(f"to go on with it: {typed}; " if typed else "to go on with it, start it as it was; ")
                    + "to judge otherwise, give the new loop another name: runs that are equal are not made again",
                )
            values = {"budget": budget, "spec": loop.spec | {"commands": spec.get("commands", [])}}
            connection.execute(update(LoopTable).where(LoopTable.name == name).values(**values))
            return find_loop(connection, name)

    def get(self, name: str) -> LoopRow:
        """Return a loop.

        Raises:
            RecordError: there is none of this name.
        """
        with self._database.read() as connection:
            return find_loop(connection, name)

    def all(self) -> list[LoopRow]:
        """Return all loops, newest first."""
        with self._database.read() as connection:
            return all_loops(connection)

    def proposals(self, name: str) -> list[ProposalRow]:
        """Return a loop's proposals in the order they were submitted, the start first.

        Raises:
            RecordError: there is no loop of this name.
        """
        with self._database.read() as connection:
            find_loop(connection, name)
            return loop_proposals(connection, name)

    def submit(
        self,
        name: str,
        new: NewProposal,
        level: Callable[[Sequence[ProposalRow]], float],
        *,
        same: Callable[[ProposalRow], bool],
        waits: bool = False,
        first_seed: int | None = None,
    ) -> tuple[ProposalRow, bool]:
        """Give a proposal its place in the stream, or return the equal one that has one already.

        Args:
            name: the loop.
            new: the proposal.
            level: gives what it is held against, from those before it.
            same: tells whether one that is there is equal to it.
            waits: leave it for a worker.
            first_seed: from which seed on it is tried; None: the loop's own.

        Returns:
            The proposal, and whether it is new.
        """
        with self._database.write() as connection:
            loop = find_loop(connection, name)
            present = loop_proposals(connection, name)
            # The best comes first: what equals it changes nothing, whatever it was when it was proposed.
            for known in sorted(present, key=lambda one: one.number != loop.best):
                if same(known):
                    return known, False
            number = present[-1].number + 1
            state: ProposalState = "waiting" if waits else "open"
            seed = present[0].first_seed if first_seed is None else first_seed
            _insert(connection, name, number, new, level=level(present), first_seed=seed, state=state)
            return loop_proposals(connection, name)[-1], True

    def take(self, name: str, without: Collection[int] = (), only: int | None = None) -> ProposalRow | None:
        """Take the first proposal that waits for a worker, or else one that was begun; None: there is none.

        One that was begun may be another worker's that is alive: both wait for each other's runs, and decide alike.

        Args:
            name: the loop.
            without: numbers to leave out.
            only: the one number to take; None: any.
        """
        with self._database.write() as connection:
            present = loop_proposals(connection, name)
            rows = [row for row in present if row.number not in without and only in (None, row.number)]
            for state in ("waiting", "open"):
                for row in rows:
                    if row.state == state:
                        _set(connection, name, row.number, state="open")
                        return row
        return None

    def enqueue(self, name: str, number: int, role: RunRole, new: NewRun) -> RunRow:
        """Give a proposal the run of this identity, creating a waiting one if need be."""
        with self._database.write() as connection:
            run = insert_run(connection, new)
            key = {"proposal_id": _key(connection, name, number), "role": role, "seed": new.seed}
            insert_ignoring(connection, ProposalRun, {**key, "run_id": run.id})
            which = [getattr(ProposalRun, column) == value for column, value in key.items()]
            connection.execute(update(ProposalRun).where(*which).values(run_id=run.id))
            return run

    def runs(self, name: str) -> list[LoopRun]:
        """Return the runs of a loop, by proposal, role and seed, in one query."""
        with self._database.read() as connection:
            return loop_runs(connection, name)

    def uses(self, runs: Sequence[RunRow]) -> dict[str, list[tuple[str, str]]]:
        """Return the loops that use some runs: by run id, name of the loop and number of the proposal, such as `#3`."""
        wanted, found = {run.id for run in runs}, dict[str, list[tuple[str, str]]]()
        query = select(ProposalRun.run_id, LoopTable.name, ProposalTable.number).distinct()
        query = query.join(ProposalTable, ProposalTable.id == ProposalRun.proposal_id)
        query = query.join(LoopTable, LoopTable.id == ProposalTable.loop_id).order_by(
            LoopTable.name, ProposalTable.number
        )
        with self._database.read() as connection:
            for run, name, number in connection.execute(query):
                if run in wanted:
                    found.setdefault(run, []).append((name, f"#{number}" if number else "the start"))
        return found

    def decide(
        self, name: str, number: int, outcome: Outcome, result: dict[str, Any], *, against: int, first_seed: int
    ) -> bool:
        """Record what became of a proposal; one that is kept becomes the best.

        Args:
            name: the loop.
            number: of the proposal.
            outcome: what became of it.
            result: how it was decided; JSON-safe.
            against: the best that it was judged against.
            first_seed: from which seed on its runs may measure it as a baseline.

        Returns:
            False where another proposal has become the best meanwhile, so that it has to be judged again.
        """
        with self._database.write() as connection:
            loop = find_loop(connection, name)
            row = next(one for one in loop_proposals(connection, name) if one.number == number)
            if row.state == "decided":
                return True
            if loop.best != against:
                return False
            _set(
                connection, name, number, state="decided", outcome=outcome, result=result, decided=clock(),
                first_seed=first_seed,
            )  # fmt: skip
            if outcome == "keep":
                connection.execute(update(LoopTable).where(LoopTable.name == name).values(best=number))
            return True

    def reopen(self, name: str, number: int, result: dict[str, Any]) -> None:
        """Give a proposal that was not kept a second chance.

        Args:
            name: the loop.
            number: of the proposal.
            result: what is known of the first.
        """
        with self._database.write() as connection:
            _set(connection, name, number, state="open", outcome=None, decided=None, result=result)


def _differing(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between two trees of settings, such as `margin 0.2, not 0.5`."""
    for key in [*was, *(key for key in now if key not in was)]:
        before, after = was.get(key), now.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differing(before, after)
        elif before != after:
            yield f"{key} {_told(before)}, not {_told(after)}"


def _told(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    if value in (None, "", [], {}):
        return "none"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def all_loops(connection: Connection) -> list[LoopRow]:
    """Return all loops, newest first."""
    return [LoopRow(*row) for row in connection.execute(select(*_LOOP_COLUMNS).order_by(LoopTable.id.desc()))]


def loop_runs(connection: Connection, name: str) -> list[LoopRun]:
    """Return the runs of a loop, by proposal, role and seed, in one query."""
    query = select(ProposalTable.number, ProposalRun.role, ProposalRun.seed, *RUN_COLUMNS).select_from(ProposalRun)
    query = query.join(ProposalTable, ProposalTable.id == ProposalRun.proposal_id)
    query = query.join(LoopTable, LoopTable.id == ProposalTable.loop_id).join(Run, Run.id == ProposalRun.run_id)
    query = query.where(LoopTable.name == name).order_by(ProposalTable.number, ProposalRun.role, ProposalRun.seed)
    return [LoopRun(number, role, seed, RunRow(*run)) for number, role, seed, *run in connection.execute(query)]


def loop_parents(connection: Connection, name: str) -> list[RunRow]:
    """Return the runs that a loop's runs start from, directly or not, without the loop's own; oldest first."""
    own = select(ProposalRun.run_id).join(ProposalTable, ProposalTable.id == ProposalRun.proposal_id)
    own = own.join(LoopTable, LoopTable.id == ProposalTable.loop_id).where(LoopTable.name == name)
    query = select(*RUN_COLUMNS).where(Run.id.in_(with_parents(own)), Run.id.not_in(own))
    return [RunRow(*row) for row in connection.execute(query.order_by(Run.number))]


def insert_loop(
    connection: Connection, loop: LoopRow, proposals: Sequence[ProposalRow], runs: Sequence[tuple[int, str, int, str]]
) -> None:
    """Write a whole loop, in place of what is there under its name.

    Args:
        connection: inside a transaction.
        loop: the loop.
        proposals: in their order; their recipes must be in the ledger.
        runs: number of a proposal, role, seed and run id.
    """
    values = {field.name: getattr(loop, field.name) for field in fields(loop)}
    insert_ignoring(connection, LoopTable, values)
    connection.execute(update(LoopTable).where(LoopTable.name == loop.name).values(**values))
    delete_proposals(connection, loop.name)
    loop_id = select(LoopTable.id).where(LoopTable.name == loop.name).scalar_subquery()
    for row in proposals:
        given = {field.name: getattr(row, field.name) for field in fields(row) if field.name != "recipe"}
        own = own_settings(connection, row.recipe_hash, row.recipe)
        connection.execute(insert(ProposalTable).values(loop_id=loop_id, settings=own, **given))
    for number, role, seed, run in runs:
        key = _key(connection, loop.name, number)
        connection.execute(insert(ProposalRun).values(proposal_id=key, role=role, seed=seed, run_id=run))


def delete_proposals(connection: Connection, name: str) -> None:
    """Delete a loop's proposals, and that runs are theirs; the runs stay."""
    of_loop = (
        select(ProposalTable.id).join(LoopTable, LoopTable.id == ProposalTable.loop_id).where(LoopTable.name == name)
    )
    connection.execute(delete(ProposalRun).where(ProposalRun.proposal_id.in_(of_loop)))
    ids = list(connection.scalars(of_loop))
    connection.execute(delete(ProposalTable).where(ProposalTable.id.in_(ids)))


def loops_of_runs(connection: Connection) -> dict[str, list[str]]:
    """Return the names of the loops that use each run, by run id."""
    query = select(ProposalRun.run_id, LoopTable.name).join(ProposalTable, ProposalTable.id == ProposalRun.proposal_id)
    query = query.join(LoopTable, LoopTable.id == ProposalTable.loop_id).distinct().order_by(LoopTable.name)
    found: dict[str, list[str]] = {}
    for run, name in connection.execute(query):
        found.setdefault(run, []).append(name)
    return found


def find_loop(connection: Connection, name: str) -> LoopRow:
    """Return a loop.

    Raises:
        RecordError: there is none of this name.
    """
    row = connection.execute(select(*_LOOP_COLUMNS).where(LoopTable.name == name)).one_or_none()
    if row is not None:
        return LoopRow(*row)
    names = list(connection.scalars(select(LoopTable.name)))
    close = nearest(name, names)
    raise RecordError(
        "A loop must be in the ledger",
        found=f"no loop {name!r} in {looked_in(connection)}" + (f"; there is {close!r}" if close else ""),
        do=f"start one: ablata loop start {name} ..., {ANOTHER_LAB}",
    )


def loop_proposals(connection: Connection, name: str) -> list[ProposalRow]:
    """Return a loop's proposals in the order they were submitted, the start first."""
    settings = func.coalesce(ProposalTable.settings, RecipeTable.settings)
    query: Select[Any] = select(*_PROPOSAL_COLUMNS, settings).join(LoopTable, LoopTable.id == ProposalTable.loop_id)
    query = query.join(RecipeTable, RecipeTable.hash == ProposalTable.recipe_hash).where(LoopTable.name == name)
    return [ProposalRow(*row) for row in connection.execute(query.order_by(ProposalTable.number))]


def _key(connection: Connection, name: str, number: int) -> int:
    query = select(ProposalTable.id).join(LoopTable, LoopTable.id == ProposalTable.loop_id)
    key: int | None = connection.scalar(query.where(LoopTable.name == name, ProposalTable.number == number))
    if key is None:
        raise RecordError(
            f"A proposal of loop {name!r} must be in the ledger",
            found=f"no proposal {number}",
            do=f"see which there are: ablata loop status {name}",
        )
    return key


def _set(connection: Connection, name: str, number: int, **values: Any) -> None:
    connection.execute(update(ProposalTable).where(ProposalTable.id == _key(connection, name, number)).values(**values))


def _insert(
    connection: Connection,
    name: str,
    number: int,
    new: NewProposal,
    *,
    level: float,
    first_seed: int,
    state: ProposalState,
    outcome: Outcome | None = None,
) -> None:
    given = {field.name: getattr(new, field.name) for field in fields(new) if field.name != "recipe"}
    connection.execute(
        insert(ProposalTable).values(
            loop_id=select(LoopTable.id).where(LoopTable.name == name).scalar_subquery(),
            number=number, settings=own_settings(connection, new.recipe_hash, new.recipe), level=level,
            first_seed=first_seed, state=state, outcome=outcome, created=clock(),
            decided=clock() if outcome else None, **given,
        )
    )  # fmt: skip
