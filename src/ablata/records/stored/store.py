"""The lab's store: a shared folder or an fsspec URL (`s3://`, `gs://`, `memory://`), in which files never change.

A file that is new has a new key, so that whoever writes late replaces nothing: which key counts is said by the ledger.
The store's mark tells it from another lab's, from one that was emptied, and from a folder whose disk is not mounted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ablata.base.errors import RecordError, SettingsError, choices
from ablata.base.printable import printable
from ablata.records.home import without_secrets

T = TypeVar("T")

MARK_FILE = "ablata-store.json"
_OBJECTS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl")
"""Protocols without folders: asking for one would make a bucket."""
_USUAL = ("file", "gs", "memory", "s3", "sftp")


class StoreAwayError(RecordError):
    """The store cannot be used now; what was to be kept in it is still here."""


class Store:
    """An opened store.

    Args:
        url: `s3://BUCKET/FOLDER`, `gs://...`, `memory://...`, any other that fsspec knows, or a folder.

    Raises:
        SettingsError: the URL is of no known kind, or what it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        self.shown = without_secrets(url)
        self._files, self._root, self._kind = _opened(url, self.shown)

    def __str__(self) -> str:
        return self.shown

    def mark(self) -> str | None:
        """Return the lab that the store says it is of; None: it says nothing.

        Raises:
            StoreAwayError: it cannot be reached.
        """

        def read() -> str | None:
            try:
                told = json.loads(self._files.cat_file(self._place(MARK_FILE)))
            except FileNotFoundError:
                return None
            return str(told["lab"]) if isinstance(told, dict) and "lab" in told else None

        return self._try(read)

    def set_mark(self) -> str:
        """Make the store one of a new lab, and return the lab's mark.

        Raises:
            StoreAwayError: it cannot be written.
            SettingsError: the folder that it would lie in does not exist.
        """
        if self._kind == "file" and not Path(self._root).parent.is_dir():
            raise SettingsError(
                "The folder that a store is made in must exist", found=f"no folder {Path(self._root).parent}",
                do="correct the address (--store, ABLATA_STORE), or mount it",
            )  # fmt: skip
        lab = secrets.token_hex(8)
        content = json.dumps({"lab": lab, "about": "files of the runs of a lab of ablata; the ledger says which count"})
        self._try(lambda: self._write(MARK_FILE, content.encode()))
        return lab

    def put(self, file: Path, key: str) -> None:
        """Copy a file into the store under a key that is new.

        Raises:
            StoreAwayError: it cannot be reached.
        """

        def copy() -> None:
            self._make_folder(key)
            self._files.put_file(str(file), self._place(key))

        self._try(copy)

    def get(self, key: str, file: Path) -> bool:
        """Copy what a key holds to a file; return whether it is there.

        Raises:
            StoreAwayError: the store cannot be reached.
        """

        def copy() -> bool:
            try:
                self._files.get_file(self._place(key), str(file))
            except FileNotFoundError:
                return False
            return True

        return self._try(copy)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove what some keys hold; what is not there, or cannot be removed now, is left."""
        for key in keys:
            with suppress(Exception):  # each driver has errors of its own
                self._files.rm_file(self._place(key))

    def remove_folder(self, folder: str) -> None:
        """Remove all that lies in a folder of the store; what cannot be removed now is left."""
        with suppress(Exception):
            self._files.rm(self._place(folder), recursive=True)

    def _place(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def _write(self, key: str, content: bytes) -> None:
        self._make_folder(key)
        self._files.pipe_file(self._place(key), content)

    def _make_folder(self, key: str) -> None:
        if self._kind not in _OBJECTS:
            self._files.makedirs(self._place(key).rpartition("/")[0], exist_ok=True)

    def _try(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # each driver has errors of its own
            told = printable(" ".join(str(error).split())) or type(error).__name__
            raise StoreAwayError(
                "The store of the lab's files must be one that can be reached and written",
                found=f"{self.shown}: {type(error).__name__}: {told[:300]}",
                do="correct the address (--store, ABLATA_STORE), or see that it can be reached from here and that "
                "this machine may write there; then go on with the same command",
            ) from error


def _opened(url: str, shown: str) -> tuple[Any, str, str]:
    """Return an URL's file system, its root in that, and its protocol."""
    try:
        import fsspec
        from fsspec.core import split_protocol, url_to_fs
    except ImportError:
        raise SettingsError(
            "A store needs fsspec", found="it is not installed", do="pip install 'ablata[store]'"
        ) from None
    kind, rest = split_protocol(url)
    if kind in (None, "file", "local"):
        if not str(rest).strip():
            raise SettingsError("A store needs an address", found=f"--store {shown!r}", do="--store s3://BUCKET/FOLDER")
        url, kind = str(Path(str(rest)).expanduser().absolute()), "file"
    try:
        files, root = url_to_fs(url)
    except ValueError:
        known = sorted({*_USUAL, *fsspec.available_protocols()})
        raise SettingsError(
            "A store's address must be a folder or begin with a protocol that fsspec knows",
            found=shown, do=f"one of these: {choices(known, str(kind))}",
        ) from None  # fmt: skip
    except ImportError as error:
        raise SettingsError(
            f"A store at {kind}:// needs its driver", found=printable(str(error)), do="pip install what it names"
        ) from None
    return files, root, str(kind)
