"""The files of runs between this machine's folders and the lab's store.

A run's folder is where it is written and read; the store holds what other machines need of it. The ledger says, for
each file of a run, under which key the store holds it and what its digest is. That is changed in one transaction, which
takes effect only while the attempt that asks for it holds the run: a worker that lost its lease can upload, but nothing
of it ever counts.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, select

from ablata.base.errors import RecordError
from ablata.base.files import atomic_path, digest, inside, write_text
from ablata.records.database import LOG, PATIENCE_SECONDS, Database, persist
from ablata.records.home import without_secrets
from ablata.records.leases import hold, lease_lost
from ablata.records.rows import RunRow
from ablata.records.runs import RUN_COLUMNS, RUN_ID
from ablata.records.stored.store import Store, StoreAwayError
from ablata.records.tables import Run, StoredFile, StoreTable

T = TypeVar("T")

_INDEX = ".stored.json"
_LEFT_OUT = ("record.json",)
"""Files that say what the ledger says, which other machines ask itself."""
WEIGHTS = (".safetensors",)
"""Endings of the large files, which are brought only where they are needed."""
_SILENCE_SECONDS = 2.0
_TRIES = 3
_FEW = 500
"""So many runs are asked for by name."""

Signs = list[Any]
"""Key, size, time of change: of a file that is here as it is in the store."""


class RunFiles:
    """The files of a lab's runs, here and in its store, where it has one.

    Args:
        database: the ledger's.
        home: the lab's home, in which the folders of runs lie.
        url: the store's; None: the one that the ledger says, if any.
    """

    def __init__(self, database: Database, home: Path, url: str | None = None) -> None:
        self._database, self._home, self._given = database, home, url
        self._recorded: tuple[str, str] | None = None
        self._looked = False
        self._store: Store | None = None

    @property
    def url(self) -> str | None:
        """The store's address; None: the lab has none."""
        if not self._looked:
            self._recorded, self._looked = self._read(), True
        return None if self._recorded is None else self._given or self._recorded[0]

    def ready(self, runs: Sequence[RunRow] = (), say: Callable[[str], None] = LOG.info) -> None:
        """See that the store can be used, before anything is trained; the first time, make it this lab's.

        Args:
            runs: those of the lab, whose files are brought to a store that is new.
            say: called with a line about what takes time.

        Raises:
            SettingsError: the address is wrong.
            RecordError: the store cannot be reached, or is another lab's.
        """
        self._looked = self.url is not None
        if self._given is None and self.url is None:
            return
        if self.url is None:
            self._make(str(self._given))
            there = [run for run in runs if run.state != "running" and self._files(self._folder(run))]
            if there:
                say(f"bringing the files of {len(there)} runs to the store {self._opened()}")
            for run in there:
                self.keep(run)
        self._opened()

    def bring(self, run: RunRow, *, weights: bool = False) -> Path:
        """Return the folder of a run, with all that the store holds of it, checked by its digest.

        Args:
            run: the run.
            weights: the checkpoints too.

        Raises:
            RecordError: the store cannot be reached, or a file of it is damaged.
        """
        folder = self._folder(run)
        if self.url is not None:
            self._bring(run, folder, lambda name: weights or not name.endswith(WEIGHTS), newer=True)
        return folder

    def bring_named(self, text: str) -> None:
        """Bring the runs whose ids a text names, such as settings that begin with another run's weights.

        Raises:
            RecordError: as for `bring`.
        """
        if self.url is None or not (named := RUN_ID.findall(text)):
            return
        with self._database.read() as connection:
            runs = [RunRow(*row) for row in connection.execute(select(*RUN_COLUMNS).where(Run.id.in_(named)))]
        for run in runs:
            self.bring(run, weights=True)

    def take_up(self, run: RunRow) -> None:
        """Make a run's folder what its last attempt left, here or elsewhere, for the attempt that begins now.

        Raises:
            RecordError: as for `bring`.
        """
        self._looked = self.url is not None
        if self.url is None:
            return
        folder = self._folder(run)
        index = _Index(folder)
        # What the store does not have yet counts only if nobody has trained the run in between.
        newest = index.attempt is None or index.attempt == run.attempt - 1
        rows = self._bring(run, folder, lambda name: True, newer=newest)
        for name in () if newest else self._files(folder).keys() - rows.keys():
            inside(folder, name).unlink(missing_ok=True)
        index = _Index(folder)
        index.attempt = run.attempt
        index.write()

    def keep(self, run: RunRow, *, attempt: int | None = None, patience: float = 0.0) -> None:
        """Bring what is new in a run's folder to the store.

        Args:
            run: the run.
            attempt: the one that trains it, whose folder is the whole of the run; None: nobody trains it, and files
                are only added.
            patience: seconds for which a store that is away is waited for.

        Raises:
            LeaseLostError: another attempt has the run; what the store has of the run stays as it is.
            RecordError: the store stays away.
        """
        if self.url is None:
            return
        folder = self._folder(run)
        index, here = _Index(folder), self._files(folder)
        changed = [name for name, signs in here.items() if index.files.get(name, [None])[1:] != signs]
        gone = index.files.keys() - here.keys() if attempt is not None else set()
        if not changed and not gone:
            return
        number = attempt if attempt is not None else run.attempt
        sent: dict[str, tuple[str, str, Signs]] = {}
        for name in changed:
            if (done := self._send(run, folder, name, number, patience)) is not None:
                sent[name] = done
        old = persist(lambda: self._record(run, attempt, sent, gone), patience=PATIENCE_SECONDS)
        index.files = {name: signs for name, signs in index.files.items() if name not in gone}
        index.files |= {name: [key, *signs] for name, (key, _, signs) in sent.items()}
        index.write()
        self._opened().remove(old)

    def stored(self, runs: Collection[RunRow]) -> dict[str, dict[str, int]]:
        """Return the names of the files that the store holds of runs, with their sizes, by the runs' ids."""
        found: dict[str, dict[str, int]] = {run.id: {} for run in runs}
        if self.url is None or not runs:
            return found
        numbers = {run.number: run.id for run in runs}
        few = (StoredFile.run.in_(numbers),) if len(numbers) <= _FEW else ()
        with self._database.read() as connection:
            for number, name, size in connection.execute(
                select(StoredFile.run, StoredFile.name, StoredFile.size).where(*few)
            ):
                if number in numbers:
                    found[numbers[number]][name] = size
        return found

    def drop(self, run: RunRow, name: str) -> None:
        """Forget a file of a run that nobody trains, and remove it from the store."""
        if self.url is None:
            return
        with self._database.write() as connection:
            which = (StoredFile.run == run.number, StoredFile.name == name)
            keys = list(connection.scalars(select(StoredFile.key).where(*which)))
            connection.execute(delete(StoredFile).where(*which))
        self._opened().remove(keys)

    def remove(self, runs: Sequence[str]) -> None:
        """Remove what the store holds of runs that the ledger has ceased to know; what cannot be now is left there."""
        if self.url is None or not runs:
            return
        with suppress(RecordError):
            store = self._opened()
            for run in runs:
                store.remove_folder(f"runs/{run}")

    # The store itself.

    def _read(self) -> tuple[str, str] | None:
        with self._database.read() as connection:
            row = connection.execute(select(StoreTable.url, StoreTable.lab)).one_or_none()
        return None if row is None else (row[0], row[1])

    def _make(self, url: str) -> None:
        store = Store(url)
        if store.mark() is not None:
            raise RecordError(
                "A store belongs to one lab",
                found=f"{store} has the files of another lab than {self._database}",
                do="a folder in it that is new: --store URL/NAME; or the database of that lab: --db, ABLATA_DB",
            )
        lab = store.set_mark()
        with self._database.write() as connection:
            if connection.execute(select(StoreTable.url)).one_or_none() is None:
                connection.execute(insert(StoreTable).values(id=1, url=_absolute(url), lab=lab))
        self._recorded = self._read()

    def _opened(self) -> Store:
        """Return the store, after a look at whose it is.

        Raises:
            StoreAwayError: it cannot be reached.
            RecordError: it is another lab's, or was emptied.
        """
        url = self.url
        assert url is not None
        assert self._recorded is not None
        store = self._store or Store(url)
        if (mark := store.mark()) != self._recorded[1]:
            what = "has no mark of a lab" if mark is None else "is another lab's"
            raise StoreAwayError(
                "A store must be the one that the lab's ledger knows",
                found=f"{store} {what}; {self._database} keeps its files at {without_secrets(self._recorded[0])}",
                do="correct the address (--store, ABLATA_STORE), or mount the folder",
            )
        self._store = store
        return store

    def _wait(self, work: Callable[[Store], T], patience: float) -> T:
        """Do `work` with the store, again and again while it is away, and say that it is waited for."""
        waited, pause, told = 0.0, 0.5, False
        while True:
            began = time.monotonic()
            try:
                done = work(self._opened())
            except StoreAwayError as error:
                waited += min(time.monotonic() - began, 60.0)
                if waited + pause > patience:
                    raise
                if waited > _SILENCE_SECONDS and not told:
                    told = True
                    LOG.warning("waiting for the store, which cannot be used now: %s", error.found)
                time.sleep(pause)
                waited, pause = waited + pause, min(2 * pause, 10.0)
            else:
                if told:
                    LOG.warning("the store can be used again")
                return done

    # Files of a run.

    def _folder(self, run: RunRow) -> Path:
        return inside(self._home, run.folder)

    @staticmethod
    def _files(folder: Path) -> dict[str, Signs]:
        """Return the names of a folder's files, `/` between their parts, with size and time of change."""
        found: dict[str, Signs] = {}
        for place, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(place) / name
                relative = path.relative_to(folder).as_posix()
                if not name.startswith(".") and relative not in _LEFT_OUT and not path.is_symlink():
                    with suppress(FileNotFoundError):
                        found[relative] = _signs(path)
        return found

    def _send(
        self, run: RunRow, folder: Path, name: str, number: int, patience: float
    ) -> tuple[str, str, Signs] | None:
        """Copy a file into the store; return its key, digest and signs, or None where it went on changing."""
        path = folder / name
        for _ in range(_TRIES):
            try:
                before = _signs(path)
                known = digest(path)
                key = f"runs/{run.id}/{name}.{number}-{known[:12]}"
                self._wait(lambda store, key=key: store.put(path, key), patience)  # type: ignore[misc]
                if _signs(path) == before:
                    return key, known, before
            except FileNotFoundError:
                return None
        return None

    def _record(
        self, run: RunRow, attempt: int | None, sent: dict[str, tuple[str, str, Signs]], gone: Collection[str]
    ) -> list[str]:
        """Let the ledger say what the store has now of a run; return the keys that count no more."""
        with self._database.write() as connection:
            number = hold(connection, run.id, attempt) if attempt is not None else _settled(connection, run)
            names = [*sent, *gone]
            query = select(StoredFile.name, StoredFile.key).where(StoredFile.run == number)
            old = {row[0]: row[1] for row in connection.execute(query) if row[0] in names}
            for name in names:
                connection.execute(delete(StoredFile).where(StoredFile.run == number, StoredFile.name == name))
            for name, (key, known, signs) in sent.items():
                values = {"run": number, "name": name, "key": key, "digest": known, "size": signs[0]}
                connection.execute(insert(StoredFile).values(**values))
        return [key for name, key in old.items() if name not in sent or sent[name][0] != key]

    def _bring(
        self, run: RunRow, folder: Path, wanted: Callable[[str], bool], *, newer: bool
    ) -> dict[str, tuple[str, str, int]]:
        """Copy the files of a run that are wanted and not here; return the ledger's rows.

        Args:
            run: the run.
            folder: its.
            wanted: tells a file by its name.
            newer: leave files alone that were changed here since they were last the store's.
        """
        for _ in range(_TRIES):
            rows = self._rows(run)
            index = _Index(folder)
            missing = [name for name in rows if wanted(name) and not _is_here(folder, name, rows[name], index, newer)]
            if all(self._fetch(folder, name, rows[name], index) for name in missing):
                if missing:
                    index.write()
                return rows
            # A newer file took the place of one meanwhile: the ledger says where it is.
        raise RecordError(
            "The store must hold what the ledger says", found=f"{self._opened()} lacks files of run {run.id}: "
            + ", ".join(missing), do="bring them back from a copy, or train the run again",
        )  # fmt: skip

    def _rows(self, run: RunRow) -> dict[str, tuple[str, str, int]]:
        query = select(StoredFile.name, StoredFile.key, StoredFile.digest, StoredFile.size)
        with self._database.read() as connection:
            found = connection.execute(query.where(StoredFile.run == run.number))
            return {name: (key, known, size) for name, key, known, size in found}

    def _fetch(self, folder: Path, name: str, row: tuple[str, str, int], index: _Index) -> bool:
        """Copy a file of the store to its place here; return whether the store has it.

        Raises:
            RecordError: it is not what was put there.
        """
        key, known, _ = row
        path = inside(folder, name)
        for _ in range(_TRIES):
            with suppress(_MissingError), atomic_path(path) as draft:
                if not self._wait(lambda store, draft=draft: store.get(key, draft), PATIENCE_SECONDS):  # type: ignore[misc]
                    raise _MissingError
                if (found := digest(draft)) != known:
                    continue
            if path.exists() and found == known:
                index.files[name] = [key, *_signs(path)]
                return True
            return False
        raise RecordError(
            "A file of the store must be what was put there",
            found=f"{key} of {self._opened()}: its digest is another",
            do="bring a good copy back under this name, or train the run again",
        )


class _MissingError(Exception):
    """The store has no such file."""


class _Index:
    """What is known here of a run's folder and the store: files that are the same in both, and the last attempt."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _INDEX
        self.attempt: int | None = None
        self.files: dict[str, Signs] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(self._path.read_text(encoding="utf-8"))
            self.attempt, self.files = told["attempt"], dict(told["files"])

    def write(self) -> None:
        """Write it."""
        write_text(self._path, json.dumps({"attempt": self.attempt, "files": self.files}))


def _is_here(folder: Path, name: str, row: tuple[str, str, int], index: _Index, newer: bool) -> bool:
    """Tell whether a file need not be brought."""
    path, (key, known, _) = inside(folder, name), row
    if not path.is_file():
        return False
    entry = index.files.get(name, [None])
    if entry[0] == key and (newer or entry[1:] == _signs(path)):
        return True
    if digest(path) != known:
        return False
    index.files[name] = [key, *_signs(path)]
    return True


def _signs(path: Path) -> Signs:
    told = path.stat()
    return [told.st_size, told.st_mtime_ns]


def _settled(connection: Connection, run: RunRow) -> int:
    """Keep a run that nobody trains in the attempt it was read in until the transaction ends; return its number."""
    query = select(Run.number).where(Run.id == run.id, Run.attempt == run.attempt, Run.state != "running")
    number = connection.scalar(query.with_for_update(read=True))
    if number is None:
        raise lease_lost(connection, run.id, run.attempt)
    return number


def _absolute(url: str) -> str:
    """Return an address that means the same in every folder."""
    return url if "://" in url else str(Path(url).expanduser().absolute())
