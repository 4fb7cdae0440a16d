"""The lab's home folder: where a lab keeps its ledger, runs, caches and weights."""

from __future__ import annotations

import os
import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ablata.base.errors import SettingsError

DEFAULT_HOME = ".ablata"
"""The lab's home in the working folder, where `ABLATA_HOME` names none."""
_ADDRESS = re.compile(r"\w[\w+.-]+:/|.*pass\w*\s*=")
"""How the address of a database begins, or what its driver's own form holds."""


def lab_home() -> Path:
    """Return the lab's home folder: `ABLATA_HOME`, or `.ablata` in the working folder. It need not exist yet.

    Raises:
        SettingsError: it is the address of a database, which would become a folder whose name holds a password.
    """
    home = os.environ.get("ABLATA_HOME") or DEFAULT_HOME
    if _ADDRESS.match(home):
        raise SettingsError("ABLATA_HOME must be a folder", found="the address of a database",
                            do="set ABLATA_DB to the address, and ABLATA_HOME to a folder")  # fmt: skip
    return Path(home).expanduser().absolute()


def lab_cache(home: Path | None = None) -> Path:
    """Return the folder for prepared data of a lab: unpacked archives, decoded images. It need not exist yet.

    Where the home can only be read, it is a temporary folder of this process, in which the files that are there are
    linked: what reads a lab has to prepare data, too.

    Args:
        home: the lab's home; None: `lab_home()`.

    Raises:
        SettingsError: as of `lab_home`.
    """
    folder = (home or lab_home()) / "cache"
    lowest = next(one for one in (folder, *folder.parents) if one.exists())
    return folder if os.access(lowest, os.W_OK) else Path(_beside(folder).name)


@cache
def _beside(folder: Path) -> TemporaryDirectory[str]:
    """Return a temporary folder with links to the files of another, which lasts as long as this process."""
    made = TemporaryDirectory(prefix="ablata-cache-", ignore_cleanup_errors=True)
    if folder.is_dir():
        shutil.copytree(folder, made.name, copy_function=os.symlink, dirs_exist_ok=True)
    return made
