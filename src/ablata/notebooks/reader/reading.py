"""Reading a whole file of notes."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

from ablata.notebooks.reader.line import LONGEST, ParsedLine, parse_line
from ablata.notebooks.reader.model import NotesReading
from ablata.notebooks.reader.outline import outline
from ablata.notebooks.reader.tables import read_objects, read_tables
from ablata.notebooks.reader.text import decode, decode_file, plain_lines
from ablata.notebooks.reader.trials import gather

_MANY = 30_000
"""Different lines from which on several processes read: starting them takes as long as a few thousand lines."""
_CHUNK = 250
_NUMBER = re.compile(r"\s*\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def read_file(path: Path, processes: int = 1) -> NotesReading:
    """Read a file of notes; every line of it gets a kind.

    Args:
        path: the file.
        processes: how many may read lines where there are very many. More than one begin anew at the program's main
            module, which must be guarded by its name, see multiprocessing.

    Raises:
        DataError: the file is absent, empty, too large or no text.
    """
    decoded = decode_file(path)
    return _read(decoded.text, str(path), decoded.encoding, decoded.digest, processes)


def read_text(text: str, source: str = "notes") -> NotesReading:
    """Read notes that are a text already.

    Raises:
        DataError: the text is empty.
    """
    decoded = decode(text.encode("utf-8", "replace"), source)
    return _read(decoded.text, source, "utf-8", decoded.digest)


def _read(text: str, source: str, encoding: str, digest: str, processes: int = 1) -> NotesReading:
    texts = text.split("\n")
    if texts and not texts[-1]:
        texts.pop()
    with _others(processes - 1 if len(texts) > _MANY else 0) as others:
        plain = plain_lines(texts)
        words = _parsed_lines(plain, {**read_objects(plain), **read_tables(plain)}, others)
    lines = outline(texts, words)
    return NotesReading(source, encoding, digest, lines, gather(lines, words))


@contextmanager
def _others(processes: int) -> Iterator[ProcessPoolExecutor | None]:
    """Other processes that read lines, begun at once; None for none."""
    if processes < 1:
        yield None
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=gc.disable) as pool:
        for _ in range(processes):
            pool.submit(_read_all, [])
        yield pool


def _parsed_lines(
    texts: list[str], known_places: dict[int, ParsedLine], others: ProcessPoolExecutor | None
) -> list[ParsedLine]:
    """Read each line that is not known by its place: equal lines once, and of a run of progress lines that differ in
    digits the first and the last, since the trial they fold into keeps no more."""
    known = _read_beside(_unlike_neighbours(texts), others) if others else {}
    words: list[ParsedLine] = []
    for place, line in enumerate(texts):
        word = known_places.get(place) or known.get(line)
        if word is None and words and words[-1].progress and place + 1 < len(texts):
            here = _mould(line)
            if here == _mould(texts[place - 1]) and here == _mould(texts[place + 1]):
                word = words[-1]
        if word is None:
            word = known[line] = parse_line(line)
        words.append(word)
    return words


def _unlike_neighbours(texts: list[str]) -> list[str]:
    """Return the lines, each once, that differ from one of their neighbours in more than digits."""
    opens = ["", *map(_opening, texts), ""]
    return list({
        text: None
        for place, text in enumerate(texts)
        if not opens[place] == opens[place + 1] == opens[place + 2]
        or not 0 < place < len(texts) - 1
        or not _mould(texts[place - 1]) == _mould(text) == _mould(texts[place + 1])
    })  # fmt: skip


def _read_beside(lines: list[str], others: ProcessPoolExecutor) -> dict[str, ParsedLine]:
    """Read many different lines in this process and others; few are left for later."""
    if len(lines) < _MANY:
        return {}
    parts = [lines[start : start + _CHUNK] for start in range(0, len(lines), _CHUNK)]
    begun = [others.submit(_read_all, part) for part in parts]
    # From the end on, what no other process has begun is read here.
    own = {place: _read_all(parts[place]) for place in reversed(range(len(parts))) if begun[place].cancel()}
    words = (own.get(place) or future.result() for place, future in enumerate(begun))
    return dict(zip(lines, chain.from_iterable(words), strict=True))


def _read_all(lines: list[str]) -> list[ParsedLine]:
    return [parse_line(line) for line in lines]


def _opening(text: str) -> str:
    """Return the first sign of a line's mould, blanks apart."""
    sign = text.lstrip()[:1]
    return "0" if sign.isdecimal() else sign


@lru_cache(maxsize=4)
def _mould(text: str) -> str:
    """Return a line with every number, and the blanks before it, the same."""
    return _NUMBER.sub("0", text[:LONGEST])
