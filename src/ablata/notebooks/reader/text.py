"""From a file's bytes to lines the grammar reads: decoding, then full-width digits, decimal commas, terminal colors and
progress bars made plain."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import DataError
from ablata.base.printable import uncolored

LIMIT_BYTES = 256 << 20
"""A larger file is no hand-written note."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ALLOWED = {"\t", "\n", "\r", "\f", "\v", "\x1b", "\b"}
_SAMPLE = 1 << 16


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, the encoding it was in and the SHA-256 of its bytes."""

    text: str
    encoding: str
    digest: str


def decode_file(path: Path) -> DecodedText:
    """Read a text file.

    Raises:
        DataError: the file is absent, a folder, empty, too large, or binary.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= LIMIT_BYTES else b""
    except OSError as error:
        raise DataError(
            "A file of notes must be readable", found=f"{path}: {error.strerror}", do="check its name and permissions"
        ) from error
    if size > LIMIT_BYTES:
        raise DataError(
            f"A file of notes must be at most {LIMIT_BYTES >> 20} MiB",
            found=f"{path}: {size:,} bytes",
            do="split the file",
        )
    return decode(content, str(path))


def decode(content: bytes, source: str) -> DecodedText:
    """Decode bytes: by their byte-order mark, else UTF-8, else GB18030, else Latin-1.

    Args:
        content: the file.
        source: its name, for errors.

    Raises:
        DataError: the bytes are empty or no text.
    """
    if not content.strip():
        raise DataError(
            "A file of notes must not be empty", found=f"{source} is empty", do="name the file that holds the notes"
        )
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    text = None
    for candidate in [encoding] if encoding else ["utf-8", "gb18030", "latin-1"]:
        try:
            text = content.decode(candidate)
        except UnicodeDecodeError:
            continue
        if not (candidate == "gb18030" and _looks_mistaken(text)):
            encoding = candidate
            break
        text = None
    if text is None or encoding is None or _is_binary(text):
        raise DataError(
            "A file of notes must be a text file",
            found=f"{source} is binary",
            do="save the notes as a text file, and read that",
        )
    return DecodedText(text.replace("\r\n", "\n").replace("\r", "\n"), encoding, hashlib.sha256(content).hexdigest())


def _looks_mistaken(text: str) -> bool:
    """Tell whether GB18030 made odd signs of another encoding's bytes: real Chinese is mostly of the common block."""
    wide = [character for character in text[:_SAMPLE] if ord(character) > 0x7F]
    common = sum(
        "\u3000" <= character <= "\u303f"
        or "\u4e00" <= character <= "\u9fff"
        or character in "，。：；（）、！？“”‘’—…"
        for character in wide
    )
    return common < 0.8 * len(wide)


def _is_binary(text: str) -> bool:
    """Tell by control characters, of which a text has next to none: none of them a zero byte."""
    if "\0" in text:
        return True
    sample = text[:_SAMPLE]
    odd = sum((character < " " and character not in _ALLOWED) or "\x7f" <= character <= "\x9f" for character in sample)
    return odd > 0.01 * len(sample)


_WIDE = str.maketrans("０１２３４５６７８９．％＝＋－", "0123456789.%=+-")
_WIDE_DIGIT = re.compile(r"[０-９]")
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
        steps.append(uncolored)
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
