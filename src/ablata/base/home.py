"""The lab's home folder: where a lab keeps its ledger, runs, caches and weights."""

from __future__ import annotations

import os
import re
from pathlib import Path

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
