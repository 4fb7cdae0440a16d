"""Text from elsewhere (file names, questions of imported studies) that may go to a terminal."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"


def printable(text: str) -> str:
    r"""Return a text without control characters: escape sequences and the marks that turn the direction of writing.

    Each becomes its escape, such as `\x1b`; line ends and tabulators stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in _KEPT or not _controls(sign) else ascii(sign)[1:-1] for sign in text)


def _controls(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc" or "\u202a" <= sign <= "\u202e" or "\u2066" <= sign <= "\u2069"
