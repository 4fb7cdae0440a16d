"""What makes a run of a program itself: its code and its inputs, by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablata.base.errors import DataError
from ablata.trainers.command import Command
from ablata.trainers.git import git_commit, git_state

_MOST_FILES = 200_000
_CHUNK = 2**20
_LARGEST_SOURCE = 64 * 2**20


def code_of(command: Command, arguments: Sequence[str]) -> str:
    """Return the fingerprint of a program's code.

    In order: the sources it declares; the commit of its git ref; git's commit with a digest of all uncommitted changes
    of the working folder and of new files of code; with and without git, the content of the files that its arguments
    name.

    Args:
        command: the command.
        arguments: its argument list for any seed.

    Raises:
        SettingsError: a declared source is missing, or the ref is none.
    """
    folder = Path(command.folder)
    if command.sources:
        return "files-" + files_digest(folder, command.sources)
    if command.ref is not None:
        return "git-" + git_commit(folder, command.ref)
    named = [word for word in arguments if _is_file(folder, word)]
    if (state := git_state(folder)) is not None:
        return f"{state}-{files_digest(folder, named)}" if named else state
    return "files-" + files_digest(folder, named)


def inputs_of(command: Command) -> str:
    """Return the fingerprint of the files and folders that a program reads; `none` where it declares none.

    Raises:
        DataError: one is missing.
    """
    return files_digest(Path(command.folder), command.inputs) if command.inputs else "none"


def files_digest(folder: Path, names: Iterable[str]) -> str:
    """Return 24 hexadecimal digits of the content of files and folders.

    Raises:
        DataError: one is missing, or there are more than 200,000 files.
    """
    content = hashlib.blake2b(digest_size=12)
    count = 0
    for name in sorted(set(names)):
        path = folder / name
        if not path.exists():
            raise DataError("What a command reads must exist", found=f"no {path}")
        for file in _files(path):
            count += 1
            if count > _MOST_FILES:
                raise DataError(f"Inputs must be at most {_MOST_FILES:,} files", found=str(path))
            content.update(f"{os.path.relpath(file, folder)}\0".encode())
            _add_content(content, file)
    return content.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        Path(place, name)
        for place, below, names in os.walk(path)
        for name in names
        if "__pycache__" not in Path(place).parts and Path(place, name).is_file()
    )


def _add_content(content: hashlib.blake2b, file: Path) -> None:
    content.update(f"{file.stat().st_size}\0".encode())
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            content.update(chunk)


def _is_file(folder: Path, word: str) -> bool:
    """Whether an argument names a file of the program's own: a script, not the interpreter or a set of images."""
    try:
        path = folder / word
        return path.suffix != "" and path.is_file() and path.stat().st_size <= _LARGEST_SOURCE
    except (OSError, ValueError):
        return False
