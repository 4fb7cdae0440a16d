"""Two small stores: environment descriptions by class, calibrations by key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from ablata.records.database import Database
from ablata.records.runs import insert_ignoring
from ablata.records.tables import CalibrationTable, Environment


class Environments:
    """The environments runs were made for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, environment_class: str, description: dict[str, Any]) -> None:
        """Keep the first description seen of an environment class."""
        with self._database.write() as connection:
            insert_ignoring(connection, Environment, {"hash": environment_class, "description": description})

    def get(self, environment_class: str) -> dict[str, Any] | None:
        """Return the description of an environment class, or None."""
        with self._database.read() as connection:
            return connection.scalar(select(Environment.description).where(Environment.hash == environment_class))


class Calibrations:
    """Results of simulations that depend on their key alone, so that each is done once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a value, unless the key has one: what depends on the key alone need not change."""
        with self._database.write() as connection:
            insert_ignoring(connection, CalibrationTable, {"key": key, "value": value})

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value of a key, or None."""
        with self._database.read() as connection:
            return connection.scalar(select(CalibrationTable.value).where(CalibrationTable.key == key))
