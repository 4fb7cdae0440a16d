"""The outer shape of a line: how far it is indented, what marker it opens with, whether it only rules off."""

from __future__ import annotations

import re
from typing import NamedTuple

TAB = 4
HASH, NUMBER, PLAIN, BULLET = range(4)
"""Ranks of lines of one indent: `# title` stands above `1. item`, that above plain lines, those above `* item`."""

_RULE = re.compile(r"[#=*~_+.·—–\-\s]*([#=*~_—–\-])\1\1[#=*~_+.·—–\-\s]*")
_HASHES = re.compile(r"(#+)\s*(.*?)[\s#]*$", re.S)
_NUMBERED = re.compile(r"(\d{1,3}[.)、．](?!\d)|[(（]\d{1,2}[)）]|[①-⑳])\s*")
_BULLETED = re.compile(
    r"(-{2,}\||- \[[ xX]?\]\s|[*•·‣▪◦-](?=\s)|[-–—]{2,}(?=\s*[\d.]*\d\s*\S|\s+)|\+(?=\s)|\[[ xX]?\]\s)\s*"
)
_RULED_TITLE = re.compile(r"([=#*~\-_])\1{2,}\s*(.*?)[\s=#*~\-_]*$")


class Shape(NamedTuple):
    """A line without its outer marks.

    Attributes:
        indent: columns of white space before it; a tab reaches to the next multiple of four.
        rank: HASH, NUMBER, PLAIN or BULLET.
        marker: what it opens with: `##`, `3.`, `*`; empty for plain lines.
        body: the rest.
        ruled: it is or opens with a rule (`=====`), which closes what stood above.
    """

    indent: int
    rank: int
    marker: str
    body: str
    ruled: bool = False


def shape_of(text: str) -> Shape:
    """Take a line's outer marks off."""
    stripped = text.strip()
    indent = _indent(text)
    if _RULE.fullmatch(stripped):
        return Shape(indent, HASH, stripped, "", ruled=True)
    if stripped.startswith("#") and (found := _HASHES.match(stripped)) and indent < TAB:
        level = len(found[1])
        return Shape(indent, HASH, found[1], found[2].strip(), ruled=level >= TAB)
    if (found := _RULED_TITLE.match(stripped)) and found[2] and "|" not in found[1] and found[1] in "=#*":
        return Shape(indent, HASH, found[1] * 3, found[2], ruled=True)
    if found := _NUMBERED.match(stripped):
        return Shape(indent, NUMBER, found[1], stripped[found.end() :])
    if found := _BULLETED.match(stripped):
        return Shape(indent, BULLET, found[1].strip(), stripped[found.end() :])
    return Shape(indent, PLAIN, "", stripped)


def _indent(text: str) -> int:
    columns = 0
    for character in text:
        if character == "\t":
            columns += TAB - columns % TAB
        elif character.isspace():
            columns += 2 if character == "\u3000" else 1
        else:
            break
    return columns
