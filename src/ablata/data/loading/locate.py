"""Locating a data set's folder: given, under a data home, one level down, or inside a zip that is unpacked once."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from ablata.base.errors import DataError, UserError, choices, nearest
from ablata.base.files import inside
from ablata.data.loading.cache import build_once, file_digest, require_space


def data_homes() -> list[Path]:
    """Return the folders that hold data sets: that of the environment variable ABLATA_DATA, where it is set."""
    home = os.environ.get("ABLATA_DATA")
    return [Path(home).expanduser()] if home else []


def find_root(root: str | None, *, default: str | None, fits: Callable[[Path], bool], layout: str, cache: Path) -> Path:
    """Return the folder in which a data set's files lie.

    A root is a folder that has the layout, or whose one subfolder has it, or that holds exactly one zip of it; or it is
    that zip. A relative root that does not exist here is looked for under the data homes.

    Args:
        root: the setting `data.root`, or None for the default.
        default: folder name under the data homes where no root is given.
        fits: tells whether a folder has the layout.
        layout: the layout in words, for the message: which files and folders are expected.
        cache: where zips are unpacked.

    Raises:
        DataError: the root does not exist, or nothing fits; says what was looked for and where.
    """
    places = _places(root, default)
    if not places:
        raise DataError(
            f"This data set needs a folder: {layout}",
            found="data.root is not set",
            do="set data.root=FOLDER (or ABLATA_DATA to the folder above it)",
        )
    if root is not None:
        refuse_missing(root, "; if it was moved: data.root=FOLDER")
    for place in filter(Path.exists, places):
        found = _fitting(_opened(place, cache), fits)
        if found is not None:
            return found
    where = " and ".join(_seen(place) for place in places)
    key = f"data.root={root}" if root is not None else "data.root is not set"
    raise DataError(
        f"The data set's files must be there: {layout}" if layout else "A data set must be a folder, or a zip of one",
        found=f"{key}; looked in {where}",
        do="set data.root to such a folder, or to a zip of it (or set ABLATA_DATA to the folder above it)",
    )


def refuse_missing(root: str, further: str = "") -> None:
    """Refuse a folder or zip that there is not, here or under the data homes.

    Args:
        root: as it was given.
        further: what one may do beside, for the end of the advice.

    Raises:
        DataError: names the closest there is.
    """
    places = _places(root, None)
    if not any(place.exists() for place in places):
        raise DataError(
            "A data set's folder must exist",
            found=f"{root}: no such folder or zip" + "".join(f", nor {place}" for place in places[1:]),
            do=_closest(places[0]) + further,
        )


def _closest(place: Path) -> str:
    """Say what there is in place of a folder that does not exist: a name like it, or what else lies there."""
    parent = next(above for above in place.absolute().parents if above.is_dir())
    missing = place.absolute().relative_to(parent).parts[0]
    names = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")]
    close = nearest(missing, names)
    return f"did you mean {parent / close}?" if close else f"{parent} holds {choices(sorted(names), missing)}"


def _places(root: str | None, default: str | None) -> list[Path]:
    if root is None:
        return [home / default for home in data_homes()] if default else []
    given = Path(root).expanduser()
    return [given] if given.is_absolute() or given.exists() else [given, *(home / root for home in data_homes())]


def _seen(place: Path) -> str:
    if not place.exists():
        return f"{place} (does not exist)"
    if place.is_file():
        return f"{place} (a file, no zip of the layout)"
    names = sorted(entry.name for entry in place.iterdir())
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{place} (holds {shown or 'nothing'})"


def _opened(place: Path, cache: Path) -> Path:
    """Return the folder itself, or the unpacked zip that `place` is or alone holds."""
    if place.is_file():
        return unpacked(place, cache) if place.suffix.lower() == ".zip" else place
    zips = [entry for entry in place.iterdir() if entry.suffix.lower() == ".zip"]
    folders = [entry for entry in place.iterdir() if entry.is_dir()]
    return unpacked(zips[0], cache) if len(zips) == 1 and not folders else place


def _fitting(folder: Path, fits: Callable[[Path], bool]) -> Path | None:
    if not folder.is_dir():
        return None
    if fits(folder):
        return folder
    below = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and fits(entry)]
    return below[0] if len(below) == 1 else None


def unpacked(archive: Path, cache: Path) -> Path:
    """Unpack a zip once into the cache folder, named by the digest of its content, and return the folder.

    Raises:
        DataError: the file is no zip, is damaged or encrypted, holds links, a path twice or paths that leave it, or it
            does not fit on the disk.
    """
    return build_once(cache / "unpacked" / file_digest(archive, cache)[:32], lambda draft: _unpack(archive, draft))


def _unpack(archive: Path, draft: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as container:
            members = container.infolist()
            require_space(draft, sum(member.file_size for member in members), what=f"the unpacked files of {archive}")
            for member in members:
                _extract(container, member, draft, archive)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise DataError("A data zip must be whole", found=f"{archive}: {error}", do="fetch the file again") from None


def _extract(container: zipfile.ZipFile, member: zipfile.ZipInfo, draft: Path, archive: Path) -> None:
    refused = f"{member.filename} in {archive}"
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DataError("A data zip must hold no links", found=refused, do="pack the files themselves")
    if member.flag_bits & 1:
        raise DataError("A data zip must not be encrypted", found=refused, do="pack it without a password")
    try:
        target = inside(draft, member.filename)
    except UserError:
        raise DataError("Paths in a data zip must stay inside it", found=refused, do="pack it again") from None
    try:
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and zlib.crc32(target.read_bytes()) == member.CRC:
            return  # the same file twice has one meaning
        with container.open(member) as source, target.open("xb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except FileExistsError:
        do = "pack it again, with each path once, as a file or as a folder"
        raise DataError("A data zip must hold each path once", found=refused, do=do) from None
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR):
            raise
        raise DataError(
            "Paths in a data zip must be ones that the disk takes", found=f"{refused}: {error.strerror}",
            do="rename that file, and pack it again",
        ) from None  # fmt: skip
