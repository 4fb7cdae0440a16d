"""Metrics: curves written in batches by the attempt that holds the run, read in one query."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, delete, select

from ablata.records.database import Database
from ablata.records.leases import hold
from ablata.records.rows import Curve
from ablata.records.runs import runs_of_study
from ablata.records.tables import MetricTable, Run

Point = tuple[int, str, float]
"""Step, metric's name, value (nan and infinities are kept as they are)."""


class Metrics:
    """The curves of a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def log(self, run_id: str, attempt: int, points: Iterable[Point]) -> None:
        """Write points in one transaction. A point at a step that has one already replaces it.

        Args:
            run_id: the run's id.
            attempt: the writing attempt.
            points: (step, name, value) each; a thousand at once cost hardly more than one.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one; nothing was written.
        """
        # A dictionary, because one statement may not write the same point twice.
        batch = {(name, int(step)): float(value) for step, name, value in points}
        with self._database.write() as connection:
            write_points(connection, hold(connection, run_id, attempt), attempt, batch)

    def truncate(self, run_id: str, attempt: int, step: int) -> None:
        """Forget the points after `step`, which a resumed run is about to write anew.

        Raises:
            LeaseLostError: `attempt` is no longer the run's current one.
        """
        with self._database.write() as connection:
            number = hold(connection, run_id, attempt)
            connection.execute(delete(MetricTable).where(MetricTable.run == number, MetricTable.step > step))

    def of_runs(self, run_ids: Sequence[str], names: Sequence[str] | None = None) -> list[Curve]:
        """Return the curves of some runs, by run (in order of creation) and name.

        Args:
            run_ids: full ids.
            names: only these metrics; None for all.
        """
        return self._curves(Run.id.in_(run_ids), names)

    def of_study(self, study: str, names: Sequence[str] | None = None) -> list[Curve]:
        """Return the curves of all runs of a study, by run and name."""
        return self._curves(Run.id.in_(runs_of_study(study)), names)

    def _curves(self, which: ColumnElement[bool], names: Sequence[str] | None) -> list[Curve]:
        with self._database.read() as connection:
            return read_curves(connection, which, names)


def read_curves(connection: Connection, which: ColumnElement[bool], names: Sequence[str] | None = None) -> list[Curve]:
    """Return the curves of the runs among `which`, by run and name; only those of `names` if given."""
    query = (
        select(Run.id, MetricTable.name, MetricTable.step, MetricTable.value)
        .join(Run, Run.number == MetricTable.run)
        .where(which)
    )
    if names is not None:
        query = query.where(MetricTable.name.in_(names))
    query = query.order_by(MetricTable.run, MetricTable.name, MetricTable.step)
    curves = []
    for (run, name), rows in groupby(connection.execute(query), key=lambda row: (row[0], row[1])):
        _, _, steps, values = zip(*rows, strict=True)
        curves.append(Curve(run, name, steps, values))
    return curves


def write_points(connection: Connection, number: int, attempt: int, batch: dict[tuple[str, int], float]) -> None:
    """Write points of the run of this number; the driver is called directly, which is several times faster.

    nan is written as NULL, as `values.Figure` reads it.
    """
    if not batch:
        return
    values = [None if math.isnan(value) else value for value in batch.values()]
    if connection.dialect.name == "sqlite":
        rows = [(number, name, step, attempt, value) for (name, step), value in zip(batch, values, strict=True)]
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO metrics (run, name, step, attempt, value) VALUES (?,?,?,?,?)", rows
        )
        return
    connection.exec_driver_sql(
        "INSERT INTO metrics (run, name, step, attempt, value) "
        "SELECT %b::bigint, name, step, %b::integer, value "
        "FROM unnest(%b::text[], %b::bigint[], %b::float8[]) AS batch (name, step, value) "
        "ON CONFLICT (run, name, step) DO UPDATE SET attempt = excluded.attempt, value = excluded.value",
        (number, attempt, [name for name, _ in batch], [step for _, step in batch], values),
    )
