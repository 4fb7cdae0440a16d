"""The engine under the ledger: how a connection is set up, and how reading and writing transactions begin."""

from __future__ import annotations

import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DatabaseError, DisconnectionError, OperationalError

from ablata.base.errors import LedgerError, RecordError
from ablata.base.files import sync_folder
from ablata.base.home import DEFAULT_HOME
from ablata.base.printable import printable
from ablata.records.home import secrets_of, shown_address

T = TypeVar("T")

LOG = logging.getLogger("ablata.records")
BUSY_SECONDS = 10
"""How long one statement waits for a locked SQLite file before it gives up; `persist` tries again, in words."""
PATIENCE_SECONDS = 300.0
"""How long a transaction waits for a locked ledger or a restarting server to begin."""


class Database:
    """Connections to one ledger.

    Args:
        url: the address; an SQLite file's folder must exist.
        lab: what errors call the lab whose ledger it is: its home, or the address.

    Attributes:
        patience: seconds for which the beginning of a transaction waits for a locked or restarting database; 0 until
            the ledger was opened, so that a wrong address is told at once.
        read_only: whether an SQLite file or its folder cannot be written, or its disk is full; reading works all the
            same.

    Raises:
        RecordError: the driver is not installed.
    """

    def __init__(self, url: URL, lab: str | None = None) -> None:
        self.url = url
        self.patience = 0.0
        self.read_only, self._full = False, False
        self._refuses_writes = False
        self._file: tuple[int, int] | None = None
        self.is_sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = (
            {} if self.is_sqlite else {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        )
        try:
            self.engine = create_engine(url, execution_options={"lab": lab or shown_address(url)}, **options)
        except ImportError as error:
            raise RecordError(
                "A ledger on Postgres needs the psycopg driver", found=str(error), do="install ablata[postgres]"
            ) from error
        event.listen(self.engine, "handle_error", self._hide_secrets)
        event.listen(self.engine, "connect", _own_by_process)
        event.listen(self.engine, "checkout", _refuse_after_fork)
        if self.is_sqlite:
            path = self.path
            self._full = path.exists() and _is_full(path.parent)
            writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) and not self._full
            self.read_only = path.exists() and not writable
            event.listen(self.engine, "do_connect", self._locate)
            event.listen(self.engine, "connect", _set_up_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @property
    def path(self) -> Path:
        """The file of an SQLite ledger."""
        return Path(str(self.url.database))

    def only_read(self) -> None:
        """Refuse to write from now on, here and in the database itself."""
        self._refuses_writes = True
        event.listen(self.engine, "connect", _set_read_only_sqlite if self.is_sqlite else _set_read_only_postgres)
        self.engine.dispose()

    def opened(self) -> None:
        """Say that the tables are there: from now on transactions are patient, and the file must stay the same."""
        self.patience = PATIENCE_SECONDS
        if self.is_sqlite:
            self._file = _identity(self.path)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for one reading transaction."""
        with self._begun() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Give a connection on which all statements see the ledger at one moment."""
        # A transaction of SQLite is a snapshot anyway.
        with self._begun(**({} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"})) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection for one writing transaction, committed at the end.

        SQLite takes the write lock at the start (BEGIN IMMEDIATE), so that what is read inside still holds when it is
        written; a transaction that starts by reading could not be upgraded without failing.

        Raises:
            RecordError: the ledger can only be read.
        """
        if self._refuses_writes:
            raise RecordError(
                "What only reads a ledger must not write to it",
                found="a write",
                do="open the ledger to write: Ledger.open without read_only",
            )
        if self.read_only:
            raise RecordError(
                "The lab's home must be a folder that can be written",
                found=f"{self.path}, which can only be read" + (": its disk is full" if self._full else ""),
                do=f"{'make room' if self._full else 'make it writable'}, or copy it and set ABLATA_HOME to the copy",
            )
        with self._begun(begin="BEGIN IMMEDIATE") as connection:
            yield connection
            connection.commit()

    @contextmanager
    def _begun(self, **options: Any) -> Iterator[Connection]:
        """Give a connection on which a transaction has begun, waiting while the database is locked or out of reach."""

        def begin() -> Connection:
            """Connect and begin a transaction."""
            self._refuse_another_file()
            connection = self.engine.connect()
            try:
                connection = connection.execution_options(**options)
                connection.begin()
            except BaseException:
                connection.close()
                raise
            return connection

        with persist(begin, patience=self.patience) if self.patience else begin() as connection:
            yield connection

    def use_write_ahead_log(self) -> None:
        """Switch an SQLite file to a write-ahead log, which lasts; readers and a writer then do not wait for another.

        The switch needs the file to itself and ignores the busy timeout, hence the new tries.
        """

        def switch() -> None:
            with self.engine.connect().execution_options(begin=None) as connection:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")

        persist(switch, patience=BUSY_SECONDS)

    def make_durable(self) -> None:
        """Bring all that was committed to an SQLite file to the disk, so that a power cut does not lose it.

        To do so at every commit (`synchronous = FULL`) has a price, and it matters only where something relies on it.
        """
        # Nothing else is ever done with a descriptor of this file: SQLite's own locks lie on the other two.
        with suppress(FileNotFoundError):
            handle = os.open(f"{self.path}-wal", os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(self.path.parent)

    def _refuse_another_file(self) -> None:
        """SQLite would go on writing to a file that was deleted, and nobody would ever read it."""
        if self._file is not None and _identity(self.path) != self._file:
            raise LedgerError(
                "The ledger must stay where it is while it is used",
                found=f"{self.path}, which was deleted or replaced",
                do="bring it back from a copy, or rebuild it from the run folders that are left: ablata ledger repair",
            )

    def _locate(self, dialect: object, record: object, arguments: list[Any], options: dict[str, Any]) -> None:
        """Open the file as it may be: made where it is new, never made anew, and read where it cannot be written."""
        mode = "ro" if self.read_only else "rw" if self._file else "rwc"
        # Without a log beside it, a file in a folder that cannot be written can only be read as one nobody changes.
        log = Path(f"{self.path}-wal")
        still = "&immutable=1" if self.read_only and not (log.exists() and log.stat().st_size) else ""
        arguments[0] = f"file:{quote(str(self.path))}?mode={mode}{still}"
        options["uri"] = True

    def _hide_secrets(self, context: ExceptionContext) -> None:
        """Take the passwords of the address out of what a driver says."""
        error = context.original_exception
        for secret in secrets_of(self.url):
            error.args = tuple(arg.replace(secret, "***") if isinstance(arg, str) else arg for arg in error.args)

    def close(self) -> None:
        """Close all idle connections."""
        self.engine.dispose()

    def __str__(self) -> str:
        return shown_address(self.url)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_dev, told.st_ino


def _own_by_process(dbapi_connection: Any, record: Any) -> None:
    record.info["pid"] = os.getpid()


def _refuse_after_fork(dbapi_connection: Any, record: Any, proxy: Any) -> None:
    """Keep a forked child (a data-loading worker) from speaking on its parent's connection, and from closing it."""
    if record.info["pid"] != os.getpid():
        record.record_info.setdefault("inherited", []).append(record.dbapi_connection)
        record.dbapi_connection = proxy.dbapi_connection = None
        raise DisconnectionError("the connection belongs to another process")


def _set_up_sqlite(dbapi_connection: Any, record: Any) -> None:
    # The driver must not open transactions by itself: `_begin_sqlite` does.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA foreign_keys = ON")
    # With a write-ahead log, NORMAL loses at most the last transactions in a power cut and never damages the file; what
    # a checkpoint relies on is brought to the disk by `make_durable`.
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _set_read_only_sqlite(dbapi_connection: Any, record: Any) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()


def _set_read_only_postgres(dbapi_connection: Any, record: Any) -> None:
    # The connection begins no transaction for it: psycopg sets it for those to come.
    dbapi_connection.read_only = True


def _begin_sqlite(connection: Connection) -> None:
    if statement := connection.get_execution_options().get("begin", "BEGIN"):
        connection.exec_driver_sql(statement)


def is_passing(error: DatabaseError) -> bool:
    """Tell whether a database error is likely to pass: a locked file, a lost connection, a deadlock's victim."""
    text = str(error.orig).lower()
    words = ("locked", "busy", "deadlock", "connection", "could not serialize", "starting up", "shutting down")
    return error.connection_invalidated or (isinstance(error, OperationalError) and any(word in text for word in words))


def persist(work: Callable[[], T], *, patience: float) -> T:
    """Do `work`, again and again while the database is locked or out of reach, and say that it is waited for.

    Args:
        work: one whole transaction, harmless if done twice.
        patience: seconds of waiting after which the last error is raised; time in which this process was suspended
            counts little.

    Returns:
        What `work` returns.

    Raises:
        RecordError: the database stayed out of reach, or cannot be written at all (a full disk).
    """
    waited, pause, told = 0.0, 0.05, False
    while True:
        began = time.monotonic()
        try:
            done = work()
        except DatabaseError as error:
            waited += min(time.monotonic() - began, BUSY_SECONDS)
            if not is_passing(error) or waited + pause > patience:
                raise in_words(error) or error from error
            if waited > _SILENCE_SECONDS and not told:
                told = True
                LOG.warning("waiting for the ledger, which cannot be used now: %s", reason(error))
            # Random, so that workers that met once do not meet again.
            time.sleep(pause * random.uniform(0.5, 1.0))
            waited, pause = waited + pause, min(2 * pause, 5.0)
        else:
            if told:
                LOG.warning("the ledger can be used again")
            return done


_SILENCE_SECONDS = 2.0
"""A wait shorter than this is not worth a word."""


def reason(error: DatabaseError) -> str:
    """Return what the database said, in one line."""
    return printable(" ".join(str(error.orig).split()))


def is_damage(error: DatabaseError) -> bool:
    """Tell whether a database error means that an SQLite file is damaged."""
    return re.search("malformed|not a database", str(error.orig)) is not None


def in_words(error: DatabaseError) -> LedgerError | None:
    """Return an error of the database's as one for people; None for a mistake of ours (a broken rule, wrong SQL)."""
    damaged = is_damage(error)
    if not damaged and not isinstance(error, OperationalError):
        return None
    return LedgerError(
        "The ledger must be a database that can be read and written",
        found=reason(error),
        do="bring back a copy of it, or rebuild it from the run folders: ablata ledger repair"
        if damaged
        else "make room on its disk, make it writable, or see that its server runs; then go on with the same command",
    )


def looked_in(connection: Connection) -> str:
    """Return the lab that a connection reads, for an error about what is not there."""
    return f"the lab {connection.get_execution_options()['lab']}"


ANOTHER_LAB = "or set ABLATA_HOME to the lab that has it"
"""What an error about something that is not in the lab adds to its advice."""


def _is_full(folder: Path) -> bool:
    """Tell whether a disk has no room for the index that SQLite lays beside a write-ahead log (32 KiB)."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < 32 * 1024


def make_folder(path: Path) -> None:
    """Make the folder an SQLite file lies in; git is told to leave one of the default name alone.

    Raises:
        RecordError: it cannot be made or written to.
    """
    try:
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if is_new and path.name == DEFAULT_HOME:
            (path / ".gitignore").write_text("*\n")
    except OSError as error:
        raise RecordError(
            "The lab's home must be a folder that can be written",
            found=f"{path}: {error.strerror}",
            do="set ABLATA_HOME",
        ) from error
