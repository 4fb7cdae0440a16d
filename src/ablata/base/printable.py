"""Text from elsewhere (file names, questions of imported studies) that may go to a terminal."""

from __future__ import annotations

import re
import unicodedata

_KEPT = "\n\t"
_COLOR = re.compile(r"\x1b\[[\d;:?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Sequences that color text or move the cursor, and those that set a title or a link."""
_LINE_END, _OVERWRITTEN = re.compile(r"\r+(?=\n|\Z)"), re.compile(r"[^\n]*\r")
"""Carriage returns at the end of a line, which change nothing, and what others have the next text written over."""


def printable(text: str) -> str:
    r"""Return a text without control characters: escape sequences and the marks that turn the direction of writing.

    Each becomes its escape, such as `\x1b`; line ends and tabulators stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in _KEPT or not _controls(sign) else ascii(sign)[1:-1] for sign in text)


def uncolored(text: str) -> str:
    r"""Return a text without a terminal's colors, as a page shows it.

    >>> uncolored("\x1b[31mred\x1b[0m")
    'red'
    """
    return _COLOR.sub("", text) if "\x1b" in text else text


def terminal_text(text: str) -> str:
    r"""Return what a program printed as a terminal leaves it: without colors, a progress bar in its last state.

    >>> terminal_text("10%\r50%\r100%\r\n\x1b[1mdone\x1b[0m")
    '100%\ndone'
    """
    text = uncolored(text)
    return _OVERWRITTEN.sub("", _LINE_END.sub("", text)) if "\r" in text else text


def _controls(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc" or "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069"
