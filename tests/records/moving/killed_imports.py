"""Import a study again and again, killed at every change of the disk.

Prints a line of - and +: for each kill, whether the home
is as it was, or holds the study.

python killed_imports.py HOME ARCHIVE: in HOME a run of the archive waits and has files of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from ablata.records import Ledger
from ablata.records.moving.importing import import_study

KILLED = 9


def main(home: Path, archive: Path) -> None:
    """Kill at the first, second, ... change, and at some change of what the next opening does about it."""
    before, ended, outcomes = state_of(home), False, ""
    while not ended:
        point = len(outcomes) + 1
        copy = home.with_name(f"copy-{point}")
        shutil.copytree(home, copy)
        ended = in_child(point, partial(bring, copy, archive))
        in_child(point % 5 + 1, partial(reopen, copy))
        reopen(copy)
        # What is left of an import that had changed nothing goes once it is old.
        for draft in copy.glob(".import.*"):
            os.utime(draft, (0, 0))
        reopen(copy)
        state = state_of(copy)
        outcomes += "-" if state == before else "+"
        if state != before:
            files, rows = state
            assert "completed" in rows, (point, state)
            (folder,) = {name.rpartition("/")[0] for name in files if name.endswith("log.txt")}
            assert files[f"{folder}/scores.json"] == b"{}", (point, state)
            assert {f"{folder}/code/imported", f"{folder}/record.json", "imported/s"} <= set(files), (point, state)
            assert not [name for name in files if name.startswith(".import")], (point, state)
        shutil.rmtree(copy)
    print(outcomes)


def bring(home: Path, archive: Path) -> None:
    """Import a study."""
    with Ledger(home=home) as ledger:
        import_study(ledger, archive)


def reopen(home: Path) -> None:
    """Do what the next command does first."""
    Ledger(home=home).close()


def in_child(point: int, work: Callable[[], Any]) -> bool:
    """Do work in a process that is killed before its change number `point`; return whether it came to its end."""
    child = os.fork()
    if child == 0:
        count = 0

        def counted(change: Callable[..., Any]) -> Callable[..., Any]:
            def changed(*args: Any, **options: Any) -> Any:
                nonlocal count
                count += 1
                if count == point:
                    os._exit(KILLED)
                return change(*args, **options)

            return changed

        for name in ("replace", "unlink", "rmdir", "mkdir"):
            setattr(Path, name, counted(getattr(Path, name)))
        Connection.commit = counted(Connection.commit)  # type: ignore[method-assign]
        # Of a folder that is removed only a part may be gone.
        os.unlink, os.rmdir = counted(os.unlink), counted(os.rmdir)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def state_of(home: Path) -> tuple[dict[str, bytes], str]:
    """Return all files of a home but the ledger's, and what the ledger says of its runs and studies."""
    files = {
        str(file.relative_to(home)): file.read_bytes()
        for file in sorted(home.rglob("*"))
        if file.is_file() and not file.name.startswith("ledger.")
    }
    with Ledger(home=home) as ledger:
        rows = [(run.id, run.state, run.scores) for run in ledger.runs.find()]
        return files, repr((rows, [study.name for study in ledger.studies.all()]))


main(Path(sys.argv[1]), Path(sys.argv[2]))
