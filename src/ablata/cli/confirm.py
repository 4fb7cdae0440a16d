"""Asking before something goes for good."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.cli.console import err, note

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]


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
