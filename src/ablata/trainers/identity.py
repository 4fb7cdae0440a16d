"""What makes a run of a program itself: its code and its inputs, by content."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablata.base.errors import DataError, SettingsError
from ablata.trainers.command import Command

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
    if (state := _git_state(folder)) is not None:
        return f"{state}-{files_digest(folder, named)}" if named else state
    return "files-" + files_digest(folder, named)


def inputs_of(command: Command) -> str:
    """Return the fingerprint of the files and folders that a program reads; `none` where it declares none.

    Raises:
        DataError: one is missing.
    """
    return files_digest(Path(command.folder), command.inputs) if command.inputs else "none"


def git_commit(folder: Path, ref: str) -> str:
    """Return the full name of a commit.

    Raises:
        SettingsError: the folder is in no git repository, or has no such ref.
    """
    # `--verify --end-of-options`: a ref is never taken for an option.
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if found is None:
        raise SettingsError("A git ref must be a branch, a tag or a commit", found=f"git:{ref} in {folder}")
    return found.decode().strip()


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


def _git_state(folder: Path) -> str | None:
    """Return commit and digest of uncommitted changes of tracked and new files; None outside git."""
    head = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return None
    content = hashlib.blake2b(digest_size=8)
    content.update(_git(folder, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv") or b"")
    new = (_git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/") or b"").split(b"\0")
    top = Path(os.fsdecode((_git(folder, "rev-parse", "--show-toplevel") or b"").strip()))
    for name in sorted(filter(None, new)):
        file = top / os.fsdecode(name)
        if file.is_file() and file.suffix in _SOURCES:
            content.update(name + b"\0")
            _add_content(content, file)
    return f"git-{head.decode().strip()}-{content.hexdigest()}"


_SOURCES = frozenset({
    ".py", ".pyx", ".sh", ".bash", ".r", ".jl", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".go", ".js", ".ts",
    ".java", ".kt", ".lua", ".m",
})  # fmt: skip
"""Endings of new files, not yet known to git, that count as code; others may be what a run wrote."""


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _is_file(folder: Path, word: str) -> bool:
    """Whether an argument names a file of the program's own: a script, not the interpreter or a set of images."""
    try:
        path = folder / word
        return path.suffix != "" and path.is_file() and path.stat().st_size <= _LARGEST_SOURCE
    except (OSError, ValueError):
        return False
