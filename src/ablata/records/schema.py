"""Bringing a database to the schema of this code, however many processes try at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

from ablata.base.errors import RecordError
from ablata.records.database import Database, in_words, is_damage, reason
from ablata.records.tables import Base

VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""Every schema this code can migrate from, oldest first; the last one is the schema of `tables`."""

HEAD = VERSIONS[-1]
ADVISORY_LOCK = 0x61626C617461
"""The number of the Postgres lock that migrations hold: "ablata" in ASCII."""


def bring_to_head(database: Database) -> None:
    """Create or migrate the tables unless they are at `HEAD` already, which costs one query.

    Raises:
        RecordError: the ledger was written by newer code, is no ledger, or is out of reach.
    """
    try:
        if _quick_version(database) == HEAD:
            return
        with _lock_file(database), database.write() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            _migrate(connection, str(database))
    except DatabaseError as error:
        if is_damage(error):
            raise in_words(error) or error from error
        raise RecordError(
            "The ledger must be a database that can be opened",
            found=f"{database}: {reason(error)}",
            do="check the address (--db, ABLATA_DB, ABLATA_HOME) and that the server runs",
        ) from error


def _quick_version(database: Database) -> str | None:
    """Return the version a migrated ledger says it has; None if it does not say, for whatever reason."""
    try:
        with database.read() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except (OperationalError, ProgrammingError):
        return None


def _migrate(connection: Connection, place: str) -> None:
    tables = inspect(connection).get_table_names()
    version = None
    if "alembic_version" in tables:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version == HEAD:
        return
    if version is not None and version not in VERSIONS:
        raise RecordError(
            f"The ledger must be of a version this ablata knows (up to {HEAD})",
            found=f"{place} of version {version}, written by a newer ablata",
            do="update ablata, or choose another ledger with ABLATA_HOME or ABLATA_DB",
        )
    if version is None and "runs" in tables:
        raise RecordError(
            "A database without ablata's version must be empty",
            found=f"{place} with the tables {', '.join(sorted(tables))}",
            do="choose another ledger with ABLATA_HOME or ABLATA_DB",
        )
    if version is None:
        create(connection)
    else:
        upgrade(connection)


def create(connection: Connection) -> None:
    """Make the tables of `HEAD` in an empty database; importing what migrates takes ten times as long."""
    Base.metadata.create_all(connection)
    version = Column("version_num", String(32), nullable=False)
    table = Table("alembic_version", MetaData(), version, PrimaryKeyConstraint(version, name="alembic_version_pkc"))
    table.create(connection)
    connection.execute(table.insert().values(version_num=HEAD))


def upgrade(connection: Connection) -> None:
    """Run the packaged migrations up to `HEAD` inside the transaction of `connection`."""
    from alembic import command  # slow to import, and needed for old ledgers alone
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)


@contextmanager
def _lock_file(database: Database) -> Iterator[None]:
    """Hold an exclusive lock on a file beside an SQLite ledger, and switch it to a write-ahead log under the lock."""
    if not database.is_sqlite:
        yield
        return
    import fcntl

    with Path(f"{database.url.database}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        database.use_write_ahead_log()
        yield
