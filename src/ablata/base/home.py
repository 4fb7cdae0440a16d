"""The lab's home folder: where a lab keeps its ledger, runs, caches and weights."""

from __future__ import annotations

import os
from pathlib import Path


def lab_home() -> Path:
    """Return the lab's home folder: `ABLATA_HOME`, or `.ablata` in the working folder. It need not exist yet."""
    return Path(os.environ.get("ABLATA_HOME") or ".ablata").expanduser().absolute()
