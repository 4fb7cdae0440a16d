"""Curves as TensorBoard event files, written without TensorBoard or TensorFlow.

An event file is a list of records: length, its checksum, an Event message, its checksum (the format of TFRecord,
tensorflow.org/tutorials/load_data/tfrecord). An Event has a time, a step, and a summary of one tag and number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ablata.base.files import write_bytes
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow

_POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), reversed, as RFC 3720 has it."""


def write_event_file(ledger: Ledger, run: RunRow, folder: Path) -> Path | None:
    """Write the curves of a run as one event file; written again it is replaced.

    A point's time is between the run's beginning and its end by its step, since times of points are not kept.

    Args:
        ledger: holds the run.
        run: the run.
        folder: where the file goes; made if need be.

    Returns:
        The file; None for a run without a curve.
    """
    points = [
        (step, curve.name, value)
        for curve in ledger.metrics.of_runs([run.id])
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]
    if not points:
        return None
    began = run.started or run.created
    last = max(step for step, _, _ in points) or 1
    lasted = max(0.0, (run.finished or began) - began)
    path = folder / f"events.out.tfevents.{int(began)}.{run.id}"
    records = [_event(began, 0, _text(3, b"brain.Event:2"))]
    for step, name, value in sorted(points, key=lambda point: point[0]):
        summary = _text(1, _text(1, name.encode()) + b"\x15" + struct.pack("<f", _single(value)))
        records.append(_event(began + lasted * step / last, step, _text(5, summary)))
    write_bytes(path, b"".join(map(_record, records)))
    return path


def _event(time: float, step: int, content: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", time) + b"\x10" + _varint(step) + content


def _single(value: float) -> float:
    """Return a number as single precision can hold it; what is too large becomes infinite."""
    try:
        struct.pack("<f", value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return value


def _text(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def _record(content: bytes) -> bytes:
    head = struct.pack("<Q", len(content))
    return head + _masked(head) + content + _masked(content)


def _masked(content: bytes) -> bytes:
    """Return the checksum of a record's part, turned and shifted as the format asks."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _table() -> Iterator[int]:
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        yield value


_TABLE = tuple(_table())
