"""Files put into the lab's home together with a transaction of its ledger: both are kept, or neither.

The files are renamed to their places before the transaction ends, those that they replace into the draft folder, after
a journal there says which. The transaction writes the journal's token into the ledger, so that whoever finds a journal
knows whether it was committed: if not, everything is taken back. That is done at once after a failure, and after a
kill when the ledger is opened again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import SQLAlchemyError

from ablata.base.errors import RecordError
from ablata.base.files import is_old_draft, lost_drafts, sync_folder, write_text
from ablata.records.database import Database
from ablata.records.tables import Event
from ablata.records.values import clock

JOURNAL = "journal.json"
_KIND = "import"


class Placing:
    """Files that go to their places together.

    Args:
        draft: a folder of `draft_folder` on the same disk, for what is replaced; the files to be placed may lie in it.
    """

    def __init__(self, draft: Path) -> None:
        self._draft, self._token = draft, secrets.token_hex(8)
        self._planned: dict[Path, Path] = {}

    def add(self, source: Path, target: Path) -> None:
        """Plan that a file is renamed to its place; an earlier plan for the same place counts."""
        # One form for one place, however its folder was named.
        self._planned.setdefault(target.parent.resolve() / target.name, source)

    def add_text(self, text: str, target: Path) -> None:
        """Plan a file that holds a text."""
        made = self._draft / f"text-{len(self._planned)}"
        made.write_text(text, encoding="utf-8")
        self.add(made, target)

    def place(self, connection: Connection, what: str) -> None:
        """Rename all files to their places, in the order of the plan, inside a transaction that ends after it.

        Args:
            connection: the transaction; what it says of the files counts once it is committed.
            what: what is placed, for people.

        Raises:
            OSError: a file cannot be placed.
        """
        if not self._planned:
            return
        text = f"{what} ({self._token})"
        values = {"run_id": None, "time": clock(), "level": "info", "kind": _KIND, "text": text}
        connection.execute(insert(Event).values(**values))
        # Relative, so that a home that was moved is found again.
        home, targets = self._draft.parent.resolve(), list(self._planned)
        made = {folder for target in targets for folder in target.parents if not folder.exists()}
        replaced = {target: f"replaced-{number}" for number, target in enumerate(targets) if target.exists()}
        journal = {
            "event": text,
            "targets": [[os.path.relpath(target, home), replaced.get(target)] for target in targets],
            "folders": [os.path.relpath(folder, home) for folder in sorted(made)],
        }
        write_text(self._draft / JOURNAL, json.dumps(journal))
        for target, source in self._planned.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target in replaced:
                target.replace(self._draft / replaced[target])
            source.replace(target)
        for folder in {target.parent for target in targets} | {folder.parent for folder in made}:
            sync_folder(folder)


def is_unsettled(draft: Path) -> bool:
    """Tell whether a draft has a journal that `settle` has not been through."""
    return (draft / JOURNAL).exists()


def settle(draft: Path, database: Database) -> None:
    """Take back what a draft's journal lists, unless its transaction was committed; nothing without a journal.

    Doing it again is harmless, so that it may be interrupted.

    Raises:
        OSError: a file cannot be put back.
    """
    if not is_unsettled(draft):
        return
    path = draft / JOURNAL
    journal: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    with database.read() as connection:
        query = select(Event.id).where(Event.kind == _KIND, Event.text == journal["event"]).limit(1)
        committed = connection.scalar(query) is not None
    if not committed:
        _take_back(draft, journal)
    # Before the rest of the draft: what it says must not be done once more when other files are in those places.
    path.unlink()
    sync_folder(draft)


def _take_back(draft: Path, journal: dict[str, Any]) -> None:
    home = draft.parent.resolve()
    for name, backup in reversed(journal["targets"]):
        target = home / name
        if backup is None:
            target.unlink(missing_ok=True)
        elif (draft / backup).exists():
            (draft / backup).replace(target)
    for name in reversed(journal["folders"]):
        with suppress(OSError):
            (home / name).rmdir()


def settle_lost(target: Path, database: Database) -> None:
    """Settle and remove the drafts beside `target` that killed processes have left; what cannot be settled stays."""
    for draft in lost_drafts(target, lambda draft: is_unsettled(draft) or is_old_draft(draft)):
        with suppress(OSError, ValueError, SQLAlchemyError, RecordError):
            settle(draft, database)
            shutil.rmtree(draft)
