"""The ledger: one database of studies, runs and metrics, and the home folder the run folders lie in."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from ablata.records.aside import settle
from ablata.records.caches import Calibrations, Environments
from ablata.records.database import Database, make_folder
from ablata.records.events import Events
from ablata.records.home import (
    LEDGER_FILE,
    lab_home,
    ledger_url,
    refuse_lost_ledger,
    refuse_network_file_system,
    shown_address,
)
from ablata.records.leases import Leases
from ablata.records.loops import Loops
from ablata.records.metrics import Metrics
from ablata.records.moving.placing import settle_lost
from ablata.records.notes import Notes
from ablata.records.runs import Runs
from ablata.records.schema import bring_to_head
from ablata.records.stored.files import RunFiles
from ablata.records.studies import Studies


class Ledger:
    """An open ledger. Creates or migrates the database if need be; any number of processes may do so at once.

        with Ledger() as ledger:
            run = ledger.runs.enqueue(NewRun(...))

    Args:
        address: a database URL or the path of an SQLite file; None takes `ABLATA_DB`, else the file in `home`.
        home: the lab's home folder, in which run folders lie; None takes `ABLATA_HOME`, else `.ablata`.
        rebuild: make a new ledger beside run folders, which are no runs of it yet.
        create: make home and ledger where there are none; False: read them as empty, and make nothing.
        patience: seconds for which a database that is out of reach is waited for; a wrong address looks like one.
        store: address of the store that keeps the files of runs for other machines; None takes `ABLATA_STORE`, else
            the one that the ledger says, if any.

    Attributes:
        home: the lab's home folder, absolute.
        files: ready, bring, keep: the files of runs, here and in the store.
        runs: enqueue, get, find, cancel, requeue, reset.
        leases: claim, heartbeat, progress, release, finish, waiting_count, open_count.
        metrics: log, truncate, of_runs, of_study.
        studies: create, get, all, arms, cells, enqueue, attach, stop_arm, finish, add_look, looks.
        loops: create, get, all, submit, proposals, enqueue, runs, decide.
        events: add, find.
        environments: record, get.
        calibrations: put, get.
        notes: replace, find, files, text.

    Raises:
        RecordError: the address is wrong, the database is out of reach, damaged or of newer code, or an SQLite file
            would lie on a network file system; or it is gone or empty, and run folders are left.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        home: Path | None = None,
        rebuild: bool = False,
        create: bool = True,
        patience: float = 0.0,
        store: str | None = None,
    ) -> None:
        self.home = (home or lab_home()).absolute()
        url = ledger_url(address, self.home)
        lab = shown_address(url)
        self._empty: tempfile.TemporaryDirectory[str] | None = None
        if url.get_backend_name() == "sqlite":
            path = Path(str(url.database))
            lab = str(self.home) if path == self.home / LEDGER_FILE else lab
            if not rebuild:
                refuse_lost_ledger(path, self.home)
            if not create and not path.exists():
                self._empty = tempfile.TemporaryDirectory(prefix="ablata-")
                path = Path(self._empty.name) / LEDGER_FILE
                url = url.set(database=str(path))
            refuse_network_file_system(path)
            make_folder(path.parent)
        self.database = Database(url, lab)
        self.database.patience = patience
        try:
            bring_to_head(self.database)
        except BaseException:
            self.close()
            raise
        self.database.opened()
        if self._empty is None and not self.database.read_only:
            settle_lost(self.home / "import", self.database)
        self.runs = Runs(self.database, self.home)
        self.files = RunFiles(self.database, self.home, store or os.environ.get("ABLATA_STORE") or None)
        self.leases = Leases(self.database)
        self.metrics = Metrics(self.database)
        self.studies = Studies(self.database)
        self.loops = Loops(self.database)
        self.events = Events(self.database)
        self.environments = Environments(self.database)
        self.calibrations = Calibrations(self.database)
        self.notes = Notes(self.database)
        settle(self.database, self.home)

    @property
    def address(self) -> str:
        """The address another process opens this ledger by, password included."""
        return self.database.url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
        if self._empty is not None:
            self._empty.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self.database)
