"""Events: what watchdogs, workers and launchers have to say, in the order it was said."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import func, insert, select

from ablata.records.database import Database
from ablata.records.rows import EventRow
from ablata.records.runs import runs_of_study
from ablata.records.tables import Event
from ablata.records.values import clock

EVENT_COLUMNS = (Event.run_id, Event.time, Event.level, Event.kind, Event.text)
Level = Literal["info", "warning", "error"]
AGAIN = "again"
"""The kind of event that a failed run has for each time that it was put back because somebody asked for it."""


class Events:
    """The events of a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, level: Level, kind: str, text: str, *, run_id: str | None = None) -> None:
        """Record an event.

        Args:
            level: info, warning or error.
            kind: what sort of event, one word for programs: "non_finite", "lease_lost", "resumed".
            text: the message, for people.
            run_id: the run it is about, if any. Any worker may speak about any run: an event changes nothing.
        """
        with self._database.write() as connection:
            values = {"run_id": run_id, "time": clock(), "level": level, "kind": kind, "text": text}
            connection.execute(insert(Event).values(**values))

    def find(
        self,
        *,
        run_id: str | None = None,
        study: str | None = None,
        level: Level | None = None,
        kind: str | None = None,
        limit: int | None = None,
    ) -> list[EventRow]:
        """Return the events that pass every filter given, oldest first; with `limit`, the latest so many."""
        query = select(*EVENT_COLUMNS).order_by(Event.id.desc())
        if run_id is not None:
            query = query.where(Event.run_id == run_id)
        if study is not None:
            query = query.where(Event.run_id.in_(runs_of_study(study)))
        if level is not None:
            query = query.where(Event.level == level)
        if kind is not None:
            query = query.where(Event.kind == kind)
        with self._database.read() as connection:
            return [EventRow(*row) for row in connection.execute(query.limit(limit))][::-1]

    def count(self, kind: str, text: str) -> int:
        """Return how many events of a kind say exactly this."""
        query = select(func.count()).select_from(Event).where(Event.kind == kind, Event.text == text)
        with self._database.read() as connection:
            return connection.scalar(query) or 0
