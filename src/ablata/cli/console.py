"""Where commands print and ask: results to standard output, notices, progress and questions to standard error."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.text import Text

from ablata.base.errors import AblataError, SettingsError
from ablata.reports.console import new_console

out = new_console()
err = new_console(stderr=True)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import much without a look for garbage in between: modules make none, and the looks are a sixth of a start."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def fail(error: AblataError) -> None:
    """Print an error as what must hold, what was found and what to do."""
    text = Text("error: ", style="bold red")
    text.append(error.must, style="default")
    for label, part in (("found", error.found), ("do", error.do)):
        if part:
            text.append(f"\n  {label + ':':<7}", style="bold")
            text.append(part)
    err.print(text)


def note(message: str) -> None:
    """Print a line about what is going on, as it is, without markup."""
    err.print(Text(message))


def print_json(value: Any) -> None:
    """Print a value as JSON, one document."""
    out.print(Text(json.dumps(value, indent=2)))


def agreed(lines: Sequence[str], yes: bool, *, question: str = "Remove this for good?") -> bool:
    """Show what would go, and ask; with `yes` only show it.

    Raises:
        SettingsError: nobody is there to be asked.
    """
    for line in lines:
        note(line)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise SettingsError(
            "What cannot be undone must be agreed to",
            found="no terminal to ask at",
            do="add --yes; nothing changed",
        )
    err.print(f"{question} [y/N] ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
