"""Lines as the grammar reads them: figures in ASCII with decimal points, without colours and progress bars."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_WIDE = str.maketrans("０１２３４５６７８９．％＝＋－", "0123456789.%=+-")
_WIDE_DIGIT = re.compile(r"[０-９]")
_COLOUR = re.compile(r"\x1b\[[\d;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
_BAR = re.compile(r":?\s*\d{1,3}%\|[^|]*\|(?:\s*\d+/[\d?]+)?(?:\s*\[\d[\d:]*<[^,\]]*(?:,[^,\]]*)?(?:,\s*|\]))?")
_POINT = re.compile(r"\d\.\d")
_COMMA = re.compile(r"(?<![\d.,])(\d+),(\d+)(?![\d.,])")
_FEWEST = 2
"""Figures with a comma that a text without decimal points must have for it to be taken for one."""


def plain_lines(texts: Sequence[str]) -> list[str]:
    """Return lines with full-width digits, decimal commas, terminal colours and progress bars made plain.

    A comma between digits is a decimal point where a text has at least two of them and nowhere a decimal point.

    Args:
        texts: the lines as written.
    """
    whole = "\n".join(texts)
    steps: list[Callable[[str], str]] = []
    if "\x1b" in whole:
        steps.append(lambda line: _COLOUR.sub("", line))
    if "%|" in whole:
        steps.append(lambda line: _BAR.sub("  ", line) if "%|" in line else line)
    if _WIDE_DIGIT.search(whole):
        steps.append(lambda line: line.translate(_WIDE))
    if not _POINT.search(whole) and len(_COMMA.findall(whole)) >= _FEWEST:
        steps.append(lambda line: _COMMA.sub(r"\1.\2", line))
    lines = list(texts)
    for step in steps:
        # What is nothing but a bar stays, so that it is counted as not understood rather than as empty.
        lines = [made if (made := step(line)).strip() else line for line in lines]
    return lines
