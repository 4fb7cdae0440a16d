"""Imported notes: what hand-written notes say was tried, kept beside the runs but never taken for one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from itertools import islice

from sqlalchemy import delete, insert, select

from ablata.records.database import Database
from ablata.records.rows import EntryKind, NoteEntry, NoteFile
from ablata.records.tables import Note, NoteText
from ablata.records.values import clock, encode, keepable

ENTRY_NAMES = NoteEntry._fields
FILE_NAMES = tuple(field.name for field in fields(NoteFile))
_AT_ONCE = 5_000
"""Entries that are handed to the driver at a time: all at once would stand in memory twice."""


class Notes:
    """The imported notes of a ledger: files, and the trials, plans and remarks in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, file: NoteFile, text: str, entries: Iterable[NoteEntry]) -> None:
        """Make `entries` those of a file, in place of what was read from it before.

        Args:
            file: what is known of it; its time is set by the database.
            text: all of it, as decoded.
            entries: in the order of their lines.
        """
        described = {name: getattr(file, name) for name in FILE_NAMES if name != "time"}
        with self._database.write() as connection:
            connection.execute(delete(Note).where(Note.source == file.source))
            connection.execute(delete(NoteText).where(NoteText.source == file.source))
            connection.execute(insert(NoteText).values(**described, text=text, time=clock()))
            # The driver is called directly, which is several times faster: a log may hold 100,000 entries.
            marks = ", ".join(["?" if self._database.is_sqlite else "%s"] * len(ENTRY_NAMES))
            rows = (_row(entry, file.source) for entry in entries)
            while some := list(islice(rows, _AT_ONCE)):
                connection.exec_driver_sql(
                    f"INSERT INTO {Note.__tablename__} ({', '.join(ENTRY_NAMES)}) VALUES ({marks})", some
                )

    def find(self, *, source: str | None = None, kind: EntryKind | None = None) -> list[NoteEntry]:
        """Return the entries that pass every filter given, by source and line."""
        query = select(*(getattr(Note, name) for name in ENTRY_NAMES)).order_by(Note.source, Note.line, Note.id)
        if source is not None:
            query = query.where(Note.source == source)
        if kind is not None:
            query = query.where(Note.kind == kind)
        with self._database.read() as connection:
            return [NoteEntry(**dict(zip(ENTRY_NAMES, row, strict=True))) for row in connection.execute(query)]

    def files(self) -> list[NoteFile]:
        """Return the files read so far, by source."""
        query = select(*(getattr(NoteText, name) for name in FILE_NAMES)).order_by(NoteText.source)
        with self._database.read() as connection:
            return [NoteFile(**dict(zip(FILE_NAMES, row, strict=True))) for row in connection.execute(query)]

    def text(self, source: str) -> str | None:
        """Return the whole text of a file as it was read, or None."""
        with self._database.read() as connection:
            return connection.scalar(select(NoteText.text).where(NoteText.source == source))


def _row(entry: NoteEntry, source: str) -> tuple[str | int | None, ...]:
    """Return an entry as its columns hold it, in the order of `ENTRY_NAMES`."""
    if entry.source != source:
        raise ValueError(f"an entry of {entry.source!r} among those of {source!r}")
    return (
        entry.source,
        entry.line,
        entry.last,
        entry.kind,
        None if entry.section is None else keepable(entry.section),
        None if entry.label is None else keepable(entry.label),
        encode(entry.settings) if entry.settings else "{}",
        encode(entry.scores) if entry.scores else "{}",
        None if entry.claim is None else encode(entry.claim),
        None if entry.remark is None else keepable(entry.remark),
        keepable(entry.original),
    )
