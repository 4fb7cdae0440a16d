"""What makes a run of a program itself: its code and its inputs, by content."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ablata.base.errors import DataError
from ablata.base.imported_files import imported_files
from ablata.trainers.command import Command
from ablata.trainers.git import Repository, git_commit, git_state, program_files, repository_of
from ablata.trainers.source_files import is_source, source_files

_MOST_FILES = 200_000
_CHUNK = 2**20
_LARGEST_SOURCE = 64 * 2**20


def code_of(command: Command, arguments: Sequence[str]) -> str:
    """Return the fingerprint of a program's code.

    It is made of the sources that the program declares, where it runs with the files of the working folder; or else of

    - the commit of its git ref; or all tracked files as they lie in the working folder and new files of code, without
      documents; or, outside git, the files of code in the working folder and below it;
    - the files that its arguments name, with the modules that Python files among them import; where one lies outside
      the working folder, the same of its own folder.

    Args:
        command: the command.
        arguments: its argument list for any seed.

    Raises:
        SettingsError: a declared source is missing, or the ref is none.
    """
    folder = Path(command.folder)
    if command.sources and command.ref is None:
        return "files-" + content_digest(folder, command.sources)
    repository = repository_of(folder)
    root = folder.resolve() if repository is None else repository.top.resolve()
    named = list(_named_files(folder, arguments))
    if command.ref is None:
        state = _state(folder, repository)
    else:
        # The worktree brings the files of the repository: only what lies elsewhere is read as it is now.
        state = "git-" + git_commit(folder, command.ref)
        named = [path for path in named if not path.is_relative_to(root)]
    scripts = [path for path in named if is_source(Path(path.name))]
    elsewhere = {path.parent for path in scripts if not path.is_relative_to(root)}
    further = [_state(place, repository_of(place)) for place in sorted(elsewhere)]
    files = {*named, *imported_files(path for path in scripts if path.suffix == ".py")}
    if files:
        further.append(content_digest(folder, (os.path.relpath(path, folder.resolve()) for path in files)))
    if not further:
        return state
    return f"{state}-{hashlib.blake2b('-'.join(further).encode(), digest_size=12).hexdigest()}"


def code_files(command: Command, arguments: Sequence[str]) -> dict[str, str]:
    """Return the files that `code_of` is made of, where no git ref says which: a digest by name.

    Args:
        command: the command.
        arguments: its argument list for any seed.
    """
    folder = Path(command.folder)
    named = list(_named_files(folder, arguments))
    files = {*named, *imported_files(path for path in named if path.suffix == ".py")}
    repository = repository_of(folder)
    found: dict[str, str] = {}
    if command.sources:
        files = {file for name in command.sources for file in _files(folder / name)}
    elif repository is not None:
        found |= program_files(folder, repository)
        files = {path for path in files if not path.is_relative_to(repository.top.resolve())}
    else:
        files |= set(source_files(folder))
    names = {os.path.relpath(path, folder.resolve()) for path in files}
    return found | {name: content_digest(folder, [name]) for name in names}


def _named_files(folder: Path, arguments: Sequence[str]) -> Iterator[Path]:
    """Give the files that arguments name, resolved: scripts, configurations, and a program that lies in the folder."""
    for position, argument in enumerate(arguments):
        for word in _words(argument):
            path = folder / word
            try:
                # The interpreter, where it is named by its path, is no file of the program's own.
                foreign = position == 0 and not ("/" in word and path.resolve().is_relative_to(folder.resolve()))
                if not foreign and path.is_file() and path.stat().st_size <= _LARGEST_SOURCE:
                    yield path.resolve()
            except (OSError, ValueError):
                continue


def _words(argument: str) -> list[str]:
    """Return an argument, what stands behind its `=`, and the words of one that is a command line of its own."""
    found = [argument, *([argument.partition("=")[2]] if "=" in argument else [])]
    with suppress(ValueError):
        found += shlex.split(argument) if any(map(str.isspace, argument)) else []
    return [word for word in found if word]


def _state(folder: Path, repository: Repository | None) -> str:
    """Return git's state of a folder, or the digest of the files of code in it."""
    if repository is not None:
        return git_state(folder, repository)
    return "files-" + content_digest(folder, (os.path.relpath(file, folder) for file in source_files(folder)))


def inputs_of(command: Command) -> str:
    """Return the fingerprint of the files and folders that a program reads; `none` where it declares none.

    Raises:
        DataError: one is missing.
    """
    return content_digest(Path(command.folder), command.inputs) if command.inputs else "none"


def content_digest(folder: Path, names: Iterable[str]) -> str:
    """Return 24 hexadecimal digits of the content of files and folders.

    Raises:
        DataError: one is missing, or there are more than 200,000 files.
    """
    content = hashlib.blake2b(digest_size=12)
    count = 0
    for name in sorted(set(names)):
        path = folder / name
        if not path.exists():
            raise DataError(
                "What a program or function reads must exist",
                found=f"no {path}",
                do="mend the path given by --input or --source",
            )
        for file in _files(path):
            count += 1
            if count > _MOST_FILES:
                raise DataError(
                    f"Inputs must be at most {_MOST_FILES:,} files",
                    found=str(path),
                    do="name the files that matter, or a list of them",
                )
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
