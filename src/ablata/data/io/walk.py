"""Walking through the folders of a data set."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ablata.base.errors import DataError, listing, reason


def files_under(folder: Path) -> list[Path]:
    """Return the files under a folder, sorted; links are followed, each folder once; hidden ones are left alone.

    A link that leads nowhere is one of them, so that it is missed by name where it is read.

    Raises:
        DataError: a name is no text, or has line ends in it.
    """
    found: list[Path] = []
    # A link to a folder around this one would bring in what lies beside it.
    seen = {os.path.realpath(around) for around in folder.absolute().parents}
    for place, below, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        below[:] = [] if real in seen else [name for name in below if name[0] != "." and name != "__MACOSX"]
        if real not in seen:
            named = [name for name in files if not name.startswith(".") and name not in _LITTER]
            refuse_names([*below, *named], Path(place))
            found += [Path(place) / name for name in named]
        seen.add(real)
    return sorted(file for file in found if file.is_file() or (file.is_symlink() and not file.exists()))


def is_name(name: str) -> bool:
    """Tell whether a file of a data set may be called so: text of whole characters on one line.

    JSON holds halves of characters and zero bytes, which no file's name does; a file system holds bytes that are no
    UTF-8, and line ends, which no list, ledger or page would show as they are.
    """
    if name.isprintable():
        return True
    return not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name)


def refuse_names(names: Iterable[str], place: Path) -> None:
    """Check the names of the files and folders in a place of a data set.

    Raises:
        DataError: one is no text, or has line ends in it.
    """
    wrong = [name for name in names if not is_name(name)]
    if wrong:
        raise DataError(
            "Names of files and folders must be text in UTF-8 on one line",
            found=f"{ascii(str(place))[1:-1]}: {listing(map(ascii, wrong[:4]))}",
            do="rename them; `convmv -f latin1 -t utf8 -r --notest FOLDER` does so for a whole folder",
        )


_LITTER = ("Icon\r",)
"""Written by systems into every folder: macOS's icon."""


def copy_file(source: Path, target: Path) -> None:
    """Copy the content of a file of a data set.

    Raises:
        DataError: it cannot be read, such as a link that leads nowhere or to itself.
        OSError: the target cannot be written.
    """
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        if error.filename != str(source):
            raise
        raise DataError(
            "Every file of a data set must be readable",
            found=f"{source}: {reason(error)}",
            do="bring it back, or remove it",
        ) from None


def exists(file: Path) -> bool:
    """Tell whether there is such a file; a name that no file can have is that of none."""
    try:
        return file.is_file()
    except (OSError, ValueError):
        return False
