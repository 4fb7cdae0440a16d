"""Which files of a program changed since it ran: what they were is kept in the lab beside their fingerprint."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ablata.base.errors import UserError, listing
from ablata.base.files import write_text
from ablata.records.ledger import Ledger
from ablata.trainers.command import Command
from ablata.trainers.identity import code_files

_FOLDER = "cache/programs"
_MOST_FILES = 20_000


def keep_files(ledger: Ledger, command: Command, code: str) -> None:
    """Keep which files the code of a program is made of, so that it can be told later which of them changed.

    Args:
        ledger: whose home keeps it.
        command: the program; one of a git ref needs nothing.
        code: its fingerprint.
    """
    path = _file(ledger, code)
    if command.ref is not None or path.exists():
        return
    with suppress(OSError, UserError):
        files = _files(command)
        if len(files) <= _MOST_FILES:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(files))


def changed_files(ledger: Ledger, command: Command, code: str) -> str:
    """Return the files of a program that differ from those of a fingerprint, in words; empty where that is not known.

    Args:
        ledger: whose home keeps what they were.
        command: the program as it is now.
        code: the fingerprint.
    """
    with suppress(OSError, ValueError, UserError):
        before = json.loads(_file(ledger, code).read_text(encoding="utf-8"))
        now = _files(command)
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        told = [
            name if name in before and name in now else f"{name} ({'new' if name in now else 'gone'})" for name in names
        ]
        return listing([*told[:5], *([f"{len(told) - 5} more"] if len(told) > 5 else [])])
    return ""


def _files(command: Command) -> dict[str, str]:
    return code_files(command, command.argument_list(seed=0, run_dir=Path("run")))


def _file(ledger: Ledger, code: str) -> Path:
    return ledger.home / _FOLDER / f"{code}.json"
