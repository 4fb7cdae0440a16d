"""Scalars of TensorBoard event files, read without TensorBoard or TensorFlow.

An event file is a list of records (length, its checksum, an Event message, its checksum). Of an Event the summary is
read, of that each value's tag and number: `simple_value` as torch writes it, or a tensor of one number, as TensorFlow 2
and Keras do. Images, histograms and texts are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ablata.base.errors import DataError
from ablata.trainers.readers.protobuf import BrokenMessageError, Field, fields, signed, texts

_MARK = "tfevents"
_FORMS = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}
"""How the bytes of a tensor's number are read, by its data type: float, double, int32, int64."""
_NUMBERS = {5: "<f", 6: "<d"}


def is_event_file(name: str) -> bool:
    """Return whether a file's name is one of TensorBoard's, `events.out.tfevents.1700000000.host`."""
    return _MARK in name.split(".")


def read_events(path: Path) -> Iterator[dict[str, float]]:
    """Yield the scalars of an event file, one tag at a time, in the order they were written; see `read_points`."""
    for _, tag, value in read_points(path):
        yield {tag: value}


def read_points(path: Path) -> Iterator[tuple[int, str, float]]:
    """Yield step, tag and value of the scalars of an event file, in the order they were written.

    A last record that is cut off, as of a run that was killed, is left out.

    Raises:
        DataError: it is no event file.
    """
    with path.open("rb") as file:
        first = True
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack_from("<Q", head)
            content = file.read(length + 4) if length < 1 << 30 else b""
            if len(content) < length + 4:
                if first:
                    raise DataError(
                        "An event file must be TensorBoard's",
                        found=f"{path}: its first record is none",
                        do="leave the file out, or copy it again",
                    )
                return
            try:
                yield from _scalars(content[:length])
            except BrokenMessageError as error:
                raise DataError(
                    "An event file must be TensorBoard's",
                    found=f"{path}: {error}",
                    do="leave the file out, or copy it again",
                ) from None
            first = False


def _scalars(event: bytes) -> Iterator[tuple[int, str, float]]:
    steps = [signed(value) for number, value in fields(event) if number == 2 and isinstance(value, int)]
    for summary in texts(event, 5):
        for value in texts(summary, 1):
            parts = dict(fields(value))
            tag = parts.get(1)
            number = parts.get(2) if isinstance(parts.get(2), float) else _of_tensor(parts.get(8))
            if isinstance(tag, bytes) and isinstance(number, float):
                yield steps[-1] if steps else 0, tag.decode("utf-8", "replace"), number


def _of_tensor(tensor: Field | None) -> float | None:
    """Return the number of a tensor that holds one, without dimensions; None for all others."""
    if not isinstance(tensor, bytes):
        return None
    kind, content, shaped = 0, b"", False
    for number, value in fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            shaped = bool(texts(value, 2))
        elif number == 4 and isinstance(value, bytes):
            content = value
        elif number in _NUMBERS and isinstance(value, bytes) and len(value) == struct.calcsize(_NUMBERS[number]):
            return float(struct.unpack(_NUMBERS[number], value)[0])
        elif number in (7, 10) and isinstance(value, bytes | int) and kind in (3, 9):
            return float(signed(value if isinstance(value, int) else int.from_bytes(value[:1], "little")))
    form = _FORMS.get(kind)
    if shaped or form is None or len(content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, content)[0])
