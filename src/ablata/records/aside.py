"""Folders of runs that are being removed, moved aside until the ledger has ceased to know the runs.

A kill before the end of the removal's transaction leaves the run in the ledger and its folder aside; whoever opens the
ledger next moves it back. A kill after it leaves a folder aside of a run that is no more; it is deleted then. So a run
is there whole or not at all, and a repair of the ledger, which reads the run folders, brings none back.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select

from ablata.base.files import inside
from ablata.records.database import Database
from ablata.records.tables import Run

ASIDE = "removed"
"""The folder of the lab's home in which folders of removed runs wait to be deleted."""


def settle(database: Database, home: Path) -> None:
    """Finish removals that a kill cut off: bring back the folders of runs that are in the ledger, delete the others."""
    place = home / ASIDE
    if database.read_only or not place.is_dir():
        return
    for aside in sorted(place.iterdir()):
        with database.write() as connection:
            # Waits for a removal that is under way: it holds the run.
            folder = connection.scalar(select(Run.folder).where(Run.id == aside.name).with_for_update())
            if folder is not None and not (back := inside(home, folder)).exists():
                with suppress(FileNotFoundError):
                    aside.rename(back)
        shutil.rmtree(aside, ignore_errors=True)
    with suppress(OSError):
        place.rmdir()
