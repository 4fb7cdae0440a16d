"""What is kept in the cache folder: digests of files, and folders that are built once and never seen half built.

Everything here can be deleted at any time; it is made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import DataError
from ablata.base.files import digest, draft_folder, remove_lost_drafts, write_text

_THREADS = 8


def file_digest(path: Path, cache: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits; computed once while path, size and time stay the same."""
    return _digests([path], cache, key=str(path.resolve()))[str(path)]


def folder_digest(root: Path, files: Sequence[Path], cache: Path) -> str:
    """Return 64 hexadecimal digits over the names (relative to `root`) and contents of files, whatever their times.

    Contents are read once; later calls read only the files whose size or time changed. A file that lies elsewhere, as
    what was made of the set's files does, is named by its folder and name.
    """
    digests = _digests(files, cache, key=str(root.resolve()))
    content = hashlib.sha256()
    for file in sorted(files):
        content.update(f"{name_below(file, root)}\0{digests[str(file)]}\n".encode())
    return content.hexdigest()


def name_below(file: Path, root: Path) -> str:
    """Return a file's path below a folder; of one that lies elsewhere the last two parts."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else f"{file.parent.name}/{file.name}"


def file_digests(root: Path, files: Sequence[Path], cache: Path) -> dict[Path, str]:
    """Return the SHA-256 of each file of a folder; see `folder_digest`, with which they are remembered."""
    digests = _digests(files, cache, key=str(root.resolve()))
    return {file: digests[str(file)] for file in files}


def combined(digests: Sequence[str]) -> str:
    """Return one digest of several, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _digests(files: Sequence[Path], cache: Path, key: str) -> dict[str, str]:
    """Return {path: digest}, remembered in one JSON file named after `key`: {path: [size, time in ns, digest]}."""
    memory = cache / "digests" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    known = _read_json(memory)
    try:
        stats = {str(file): file.stat() for file in files}
    except OSError as error:
        link = "a link that leads nowhere" if Path(error.filename).is_symlink() else error.strerror
        raise DataError("Every file of a data set must be readable", found=f"{error.filename}: {link}",
                        do="repair or remove it") from None  # fmt: skip
    stamps = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    fresh = [name for name, stamp in stamps.items() if known.get(name, [])[:2] != stamp]
    with ThreadPoolExecutor(_THREADS) as pool:
        for name, value in zip(fresh, pool.map(digest, map(Path, fresh)), strict=True):
            known[name] = [*stamps[name], value]
    if fresh:
        write_text(memory, json.dumps({name: known[name] for name in stamps}))
    return {name: known[name][2] for name in stamps}


def _read_json(path: Path) -> dict[str, list[Any]]:
    try:
        tree = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def build_once(target: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder `target`, letting `fill` write it if it is not there.

    It is written beside its place and renamed when whole: a kill leaves no half folder under the name, and of two
    processes that build at the same time one wins and both use it.
    """
    if target.is_dir():
        return target
    remove_lost_drafts(target)
    with draft_folder(target) as draft:
        fill(draft)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def stored_arrays(
    target: Path, cache: Path, fill: Callable[[Path], Mapping[str, object]]
) -> tuple[Path, dict[str, Any]]:
    """Return a folder of `.npy` files and the facts written with them, built once, and checked against damage.

    Args:
        target: the folder.
        cache: where digests are remembered.
        fill: writes the arrays into the folder it is given and returns facts, JSON-safe.

    Returns:
        The folder and the facts.
    """

    def write(draft: Path) -> None:
        facts = dict(fill(draft))
        digests = {file.name: digest(file) for file in sorted(draft.glob("*.npy"))}
        write_text(draft / "facts.json", json.dumps({"facts": facts, "digests": digests}))

    if target.is_dir() and _damaged(target, cache):
        shutil.rmtree(target)
    build_once(target, write)
    return target, json.loads((target / "facts.json").read_text())["facts"]


def _damaged(folder: Path, cache: Path) -> bool:
    try:
        digests = json.loads((folder / "facts.json").read_text())["digests"]
        return any(file_digest(folder / name, cache) != value for name, value in digests.items())
    except (OSError, ValueError, KeyError):
        return True


def load_array(path: Path) -> np.ndarray:
    """Map a `.npy` file into memory; writing to it changes the process's own copy only."""
    mapped: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return mapped


def require_space(
    folder: Path, needed: int, *, what: str, do: str = "free some space, or point ABLATA_HOME elsewhere"
) -> None:
    """Check that a disk has room before anything is written.

    Args:
        folder: on the disk; need not exist yet.
        needed: bytes.
        what: what is to be written, for the message.
        do: what helps.

    Raises:
        DataError: it has not.
    """
    there = next(above for above in (folder.absolute(), *folder.absolute().parents) if above.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise DataError(
            f"The disk must have room for {what}",
            found=f"{needed / 2**20:,.0f} MiB are needed, {free / 2**20:,.0f} MiB are free at {there}",
            do=do,
        )
