"""Text from elsewhere (file names, questions of imported studies) that may go to a terminal."""

from __future__ import annotations

import re
import unicodedata

_KEPT = "\n\t"
_COLOR = re.compile(r"\x1b\[[\d;:?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Sequences that color text or move the cursor, and those that set a title or a link."""


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


def _controls(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc" or "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069"
