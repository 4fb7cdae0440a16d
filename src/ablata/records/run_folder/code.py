"""The user's own code of a run: copies in its folder, and the refusal of code that came from elsewhere.

`code/` in a run's folder holds the files as they were when the run began, `code/files.json` says where each was taken
from. A run or study that came in an archive is marked, and what it refers to runs only where the user says so.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ablata.base.errors import RecordError, listing
from ablata.base.files import Fence, inside, write_bytes, write_text
from ablata.base.user_code import CodeFolder, references
from ablata.records.home import IMPORTED_LOOPS, IMPORTED_STUDIES
from ablata.records.ledger import Ledger
from ablata.records.rows import ArmRow, RunRow

CODE = "code"
INDEX = "files.json"
IMPORTED = "imported"


def keep_code(folder: Path, named: Mapping[Path, str], *, portable: bool = False, fence: Fence = nullcontext) -> None:
    """Copy users' files into a folder, with the folders that their imports need; nothing where there are none.

    Args:
        folder: a run's folder, or an export's; copies that are there already stay.
        named: the files, absolute, each with its path below `code/`; see `relative_names`.
        portable: name the files in the index by their copies, for a folder that goes to other machines.
        fence: the context inside which each file is put into place.
    """
    place = folder / CODE
    if not named or (place / INDEX).is_file():
        return
    for file, name in named.items():
        write_bytes(place / name, file.read_bytes(), fence)
    index = {name if portable else _taken_from(file): name for file, name in named.items()}
    write_text(place / INDEX, json.dumps(index, indent=2) + "\n", fence)


def _taken_from(file: Path) -> str:
    """Return where a file was taken from: itself, or what the copy in another run's folder is a copy of."""
    for folder in file.parents:
        if folder.name == CODE and (code := code_folder(folder.parent)) is not None:
            return next((original for original, copy in code.copies.items() if copy == file.resolve()), str(file))
    return str(file)


def code_folder(folder: Path, *, foreign: bool = False) -> CodeFolder | None:
    """Return the copies of users' files in the folder of a run or an export; None: there are none.

    Args:
        folder: the folder.
        foreign: whether the files come from elsewhere, so that their copies are read in any case.

    Raises:
        UserError: the index is damaged, or names a file outside the folder.
    """
    place = folder / CODE
    if not (place / INDEX).is_file():
        return None
    try:
        index = json.loads((place / INDEX).read_text(encoding="utf-8"))
        copies = {str(original): inside(place, str(name)) for original, name in index.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise RecordError(
            "The list of a run's own code must be whole",
            found=f"{place / INDEX}: {error}",
            do="train the run again; its scores stay in the ledger",
        ) from None
    return CodeFolder(place, copies, foreign)


def imported_mark(folder: Path) -> Path:
    """Return the file that marks a run's folder as that of a run which came from elsewhere; it holds the id there."""
    return folder / CODE / IMPORTED


def is_imported(folder: Path) -> bool:
    """Tell whether a run came from elsewhere."""
    return imported_mark(folder).exists()


def ids_of(folder: Path) -> tuple[str, ...]:
    """Return the ids under which the files in a run's folder were written: its own, and the one it had elsewhere."""
    mark = imported_mark(folder)
    return (folder.name, mark.read_text(encoding="utf-8")) if mark.is_file() else (folder.name,)


def imported_study_mark(ledger: Ledger, name: str) -> Path:
    """Return the empty file that marks a study as one that came from elsewhere."""
    return inside(ledger.home, f"{IMPORTED_STUDIES}/{name}")


def imported_loop_mark(ledger: Ledger, name: str) -> Path:
    """Return the file that marks a research loop as one that came from elsewhere."""
    return inside(ledger.home, f"{IMPORTED_LOOPS}/{name}")


def run_code(
    ledger: Ledger,
    run: RunRow,
    tree: Mapping[str, Any],
    *,
    trust: bool,
    say: Callable[[str], None] = lambda line: None,
) -> CodeFolder | None:
    """Return the copies of the users' files that a run was trained with, or another of that code; None: there are none.

    Args:
        ledger: holds the run.
        run: the run.
        tree: its expanded settings, or those in its checkpoint.
        trust: whether code that came from elsewhere may run.
        say: called with a line that names such code before it runs.

    Raises:
        RecordError: the code came from elsewhere and is not trusted.
    """
    if not named_code(tree):
        return None
    folder = ledger.files.bring(run)
    if is_imported(folder):
        code = code_folder(folder, foreign=True)
        check_trust(f"run {run.id}, which was imported,", tree, code, trust=trust, say=say)
        return code
    # Of a program nothing is copied.
    return None if tree.get("task") == "command" else code_folder(folder) or _equal_code(ledger, run)


def named_code(tree: Mapping[str, Any]) -> list[str]:
    """Return what expanded settings would run beside ablata itself: references to users' files, or a program."""
    if tree.get("task") == "command":
        return [shlex.join(map(str, tree.get("words", ())))]
    if tree.get("task") == "function":
        # Not its values: a text such as cuda:0 is no reference.
        return list(references([tree.get("function")]))
    return list(references(tree))


def _equal_code(ledger: Ledger, run: RunRow) -> CodeFolder | None:
    """Return the copies of a run of the same code that was trained, or is to be trained, here."""
    for other in ledger.runs.find(code=run.code):
        folder = ledger.files.bring(other)
        if not is_imported(folder) and (code := code_folder(folder)) is not None:
            return code
    return None


def arm_code(ledger: Ledger, study: str, arm: ArmRow, *, trust: bool, say: Callable[[str], None]) -> CodeFolder | None:
    """Return the copies of the users' files that an arm's runs began with; None: no run has begun, or all failed.

    Until one has begun, the files themselves count, and their copies only where one of them is gone.

    Raises:
        RecordError: the code came from elsewhere and is not trusted.
    """
    if not named_code(arm.recipe):
        return None
    code = next(_kept(ledger, study, arm.name), None) or next(_of_gone_files(ledger, study, arm.name), None)
    if imported_study_mark(ledger, study).exists() or (code is not None and code.foreign):
        check_trust(f"arm {arm.name} of study {study}, which was imported,", arm.recipe, code, trust=trust, say=say)
    return code


def _kept(ledger: Ledger, study: str, arm: str) -> Iterator[CodeFolder]:
    """Give the copies in the folders of an arm's runs that count or will, once they have begun."""
    for cell in ledger.studies.cells(study):
        if cell.arm == arm and cell.run.attempt and cell.run.state not in ("failed", "cancelled"):
            folder = ledger.files.bring(cell.run)
            if (code := code_folder(folder, foreign=is_imported(folder))) is not None:
                yield code


def _of_gone_files(ledger: Ledger, study: str, arm: str) -> Iterator[CodeFolder]:
    """Give the copies that an arm's waiting runs can be trained with, where the files themselves are gone."""
    for cell in ledger.studies.cells(study):
        code = _equal_code(ledger, cell.run) if cell.arm == arm and cell.run.state == "waiting" else None
        if code is not None and not all(Path(file).is_file() for file in code.copies):
            yield code


def changed_files(ledger: Ledger, study: str) -> list[str]:
    """Return the users' files that hold something else now than when the study was trained, or are gone."""
    codes = [next(_kept(ledger, study, arm.name), None) for arm in ledger.studies.arms(study)]
    return sorted({file for code in codes if code is not None and not code.foreign for file in code.changed})


def check_trust(
    who: str,
    tree: Mapping[str, Any],
    code: CodeFolder | None,
    *,
    trust: bool,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Refuse to run code that came from elsewhere, or say what is run.

    Args:
        who: what would run it, for the message.
        tree: expanded settings that refer to the code.
        code: the files that came along.
        trust: whether the user trusts it.
        say: called with a line that names the code.

    Raises:
        RecordError: the user does not.
    """
    named = named_code(tree)
    if not named:
        return
    files = [str(copy) for copy in code.copies.values()] if code is not None else []
    would_run = f"{listing(named)}{f' from {listing(files)}' if files else ''}"
    if not trust:
        raise RecordError(
            "Code that came from elsewhere runs only if you trust it",
            found=f"{who} would run {would_run}",
            do="read it, then say --trust-code",
        )
    say(f"trusted: {who} runs {would_run}")
