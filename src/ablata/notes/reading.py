"""Reading a whole file of notes."""

from __future__ import annotations

from pathlib import Path

from ablata.notes.decoding import decode, decode_file
from ablata.notes.model import Reading
from ablata.notes.outline import outline
from ablata.notes.tables import read_tables
from ablata.notes.trials import gather
from ablata.notes.wording import Wording, read_wording


def read_file(path: Path) -> Reading:
    """Read a file of notes; every line of it gets a kind.

    Raises:
        DataError: the file is absent, empty, too large or no text.
    """
    decoded = decode_file(path)
    return _read(decoded.text, str(path), decoded.encoding, decoded.digest)


def read_text(text: str, source: str = "notes") -> Reading:
    """Read notes that are a text already.

    Raises:
        DataError: the text is empty.
    """
    decoded = decode(text.encode("utf-8", "replace"), source)
    return _read(decoded.text, source, "utf-8", decoded.digest)


def _read(text: str, source: str, encoding: str, digest: str) -> Reading:
    texts = text.split("\n")
    if texts and not texts[-1]:
        texts.pop()
    known: dict[str, Wording] = {}
    for line in texts:
        if line not in known:
            known[line] = read_wording(line)
    tables = read_tables(texts)
    words = [tables.get(place) or known[line] for place, line in enumerate(texts)]
    lines = outline(texts, words)
    return Reading(source, encoding, digest, lines, gather(lines, words))
