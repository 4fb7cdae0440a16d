"""Protocol Buffers without their schema: the fields of a message by number, as far as event files need them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Field = int | float | bytes


class BrokenMessageError(ValueError):
    """The bytes are no message: a record was cut off, or the file is of another kind."""


def fields(message: bytes) -> Iterator[tuple[int, Field]]:
    """Yield number and value of each field: whole numbers, 4 and 8 byte values as floats, all else as bytes.

    Raises:
        BrokenMessageError: the bytes are no message.
    """
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        kind, number = key & 7, key >> 3
        if kind == 0:
            whole, place = _varint(message, place)
            yield number, whole
        elif kind in (1, 5):
            size, form = (8, "<d") if kind == 1 else (4, "<f")
            if place + size > end:
                raise BrokenMessageError("a number is cut off")
            yield number, struct.unpack_from(form, message, place)[0]
            place += size
        elif kind == 2:
            size, place = _varint(message, place)
            if place + size > end:
                raise BrokenMessageError("a text is cut off")
            yield number, message[place : place + size]
            place += size
        else:
            raise BrokenMessageError(f"fields have no kind {kind}")


def texts(message: bytes, number: int) -> list[bytes]:
    """Return the values of one field that are texts or messages."""
    return [value for found, value in fields(message) if found == number and isinstance(value, bytes)]


def signed(whole: int) -> int:
    """Return a varint as the 64-bit number with a sign that it stands for."""
    return whole - (1 << 64) if whole >= 1 << 63 else whole


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise BrokenMessageError("a whole number is cut off")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
