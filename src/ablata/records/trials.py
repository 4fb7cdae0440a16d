"""Imported trials: what hand-written notes say was tried, kept beside the runs but never taken for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from sqlalchemy import delete, insert, select

from ablata.records.database import Database
from ablata.records.rows import TrialRow
from ablata.records.tables import ImportedTrial

TRIAL_COLUMNS = tuple(getattr(ImportedTrial, field.name) for field in fields(TrialRow))


class Trials:
    """The imported trials of a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, source: str, trials: Sequence[TrialRow]) -> None:
        """Make `trials` the trials of a source file, in place of those read from it before.

        Args:
            source: the file, as it is named in each trial.
            trials: in the order of their lines.
        """
        if strangers := {trial.source for trial in trials} - {source}:
            raise ValueError(f"trials of {strangers} among those of {source!r}")
        with self._database.write() as connection:
            connection.execute(delete(ImportedTrial).where(ImportedTrial.source == source))
            if trials:
                connection.execute(insert(ImportedTrial), [asdict(trial) for trial in trials])

    def find(self, *, source: str | None = None) -> list[TrialRow]:
        """Return the trials, of one source file or of all, by source and line."""
        query = select(*TRIAL_COLUMNS).order_by(ImportedTrial.source, ImportedTrial.line, ImportedTrial.id)
        if source is not None:
            query = query.where(ImportedTrial.source == source)
        names = [field.name for field in fields(TrialRow)]
        with self._database.read() as connection:
            return [TrialRow(**dict(zip(names, row, strict=True))) for row in connection.execute(query)]
