"""Walking through the folders of a data set."""

from __future__ import annotations

import os
from pathlib import Path


def files_under(folder: Path) -> list[Path]:
    """Return the files under a folder, sorted; links are followed, each folder once; hidden ones are left alone.

    A link that leads nowhere is one of them, so that it is missed by name where it is read.
    """
    found: list[Path] = []
    # A link to a folder around this one would bring in what lies beside it.
    seen = {os.path.realpath(around) for around in folder.absolute().parents}
    for place, below, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        below[:] = [] if real in seen else [name for name in below if name[0] != "." and name != "__MACOSX"]
        if real not in seen:
            found += [Path(place) / name for name in files if not name.startswith(".")]
        seen.add(real)
    return sorted(file for file in found if file.is_file() or (file.is_symlink() and not file.exists()))


def exists(file: Path) -> bool:
    """Tell whether there is such a file; a name that no file can have is that of none."""
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False
