"""Which files of a program changed since it ran, and whether by more than comments."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from ablata.base.errors import UserError, listing
from ablata.base.files import write_text
from ablata.records.ledger import Ledger
from ablata.trainers.command import Command
from ablata.trainers.git import repository_of
from ablata.trainers.identity import code_files
from ablata.trainers.same_code import syntax

_FOLDER = "cache/programs"
_MOST_FILES = 20_000
_MOST_PARSED = 500
"""Python files of a program that are compared by what they say, and not by their text."""


def known_code(ledger: Ledger, command: Command, code: str) -> str:
    """Return the code that a program's runs are recorded under: that of the first state which said the same.

    Two states say the same if they differ in comments and layout of Python files alone. The files of a new state are
    kept, so that it can be told later which of them changed.

    Args:
        ledger: whose home keeps it.
        command: the program; one of a git ref is what its commit is.
        code: its fingerprint.
    """
    if command.ref is not None:
        return code
    with suppress(OSError, ValueError, UserError):
        path = _file(ledger, code)
        if not path.exists():
            _keep(ledger, command, code, path)
        return str(json.loads(path.read_text(encoding="utf-8"))["known_as"])
    return code


def changed_files(ledger: Ledger, command: Command, code: str) -> str:
    """Return the files of a program that differ from those of a fingerprint, in words; empty where that is not known.

    Args:
        ledger: whose home keeps what they were.
        command: the program as it is now.
        code: the fingerprint.
    """
    with suppress(OSError, ValueError, UserError):
        before = json.loads(_file(ledger, code).read_text(encoding="utf-8"))["files"]
        now = _files(command)
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        told = [
            name if name in before and name in now else f"{name} ({'new' if name in now else 'gone'})" for name in names
        ]
        return listing([*told[:5], *([f"{len(told) - 5} more"] if len(told) > 5 else [])])
    return ""


def _keep(ledger: Ledger, command: Command, code: str, path: Path) -> None:
    files = _files(command)
    if len(files) > _MOST_FILES:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    same = path.parent / f"says-{_said(command, files)}.json"
    if not same.exists():
        write_text(same, json.dumps(code))
    write_text(path, json.dumps({"known_as": json.loads(same.read_text(encoding="utf-8")), "files": files}))


def _said(command: Command, files: dict[str, str]) -> str:
    """Return a digest of what a program's files say: of a Python file its syntax, of any other its text."""
    content = hashlib.blake2b(command.folder.encode(errors="surrogateescape"), digest_size=12)
    repository = repository_of(folder := Path(command.folder))
    is_below = repository is not None and not command.sources
    parsed = 0
    for name, digest in sorted(files.items()):
        said: str | None = None
        if name.endswith(".py") and parsed < _MOST_PARSED:
            parsed += 1
            top = repository.top if repository is not None and is_below and not name.startswith("..") else folder
            with suppress(OSError):
                said = syntax((top / name).read_bytes())
        content.update(f"{name}\0{digest if said is None else said}\0".encode(errors="surrogateescape"))
    return content.hexdigest()


def _files(command: Command) -> dict[str, str]:
    return code_files(command, command.argument_list(seed=0, run_dir=Path("run")))


def _file(ledger: Ledger, code: str) -> Path:
    return ledger.home / _FOLDER / f"{code}.json"
