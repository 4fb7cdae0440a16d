from __future__ import annotations

import errno
from io import StringIO

import pytest
from rich.table import Table
from rich.text import Text

from ablata.reports.console import new_console, plain_lines, show

HOSTILE = "a\x1b[31mRED\x1b]0;owned\x07"


def test_no_control_character_of_a_text_reaches_a_console_and_styles_still_do() -> None:
    console = new_console()
    console.file = StringIO()
    console._force_terminal = True
    console._color_system = console._detect_color_system() or None
    table = Table("name")
    table.add_row(HOSTILE)
    for what in (HOSTILE, Text(HOSTILE, style="bold"), table):
        console.print(what)
    said = console.file.getvalue()
    assert "\x1b]0;" not in said
    assert "\x07" not in said
    assert "\x1b[31m" not in said
    assert said.count("\\x1b[31mRED") == 3


def test_names_that_look_like_markup_are_shown_as_they_are() -> None:
    table = Table("name", "score")
    table.add_row("[red]", "[x]:cat:")
    console = new_console()
    console.file = StringIO()
    console.print(table)
    console.print("[bold]a[/bold] :dog:")
    for said in (console.file.getvalue(), plain_lines(table)):
        assert "[red]" in said
        assert "[x]:cat:" in said
    assert "[bold]a[/bold] :dog:" in console.file.getvalue()


def test_none_reaches_what_is_printed_plainly() -> None:
    console = new_console()
    console.file = StringIO()
    show(Text(HOSTILE), console)
    assert "\x1b" not in console.file.getvalue() + plain_lines(Text(HOSTILE))


class Gone(StringIO):
    """A terminal that cannot be written to any more."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        raise OSError(self._number, "gone")


def test_a_console_goes_quiet_once_its_terminal_is_gone() -> None:
    console = new_console()
    console.file = Gone(errno.EIO)
    console.print("a training goes on")
    assert console.quiet
    console.print("and nothing is shown")
    full = new_console()
    full.file = Gone(errno.ENOSPC)
    with pytest.raises(OSError, match="gone"):
        full.print("what is lost is told")
