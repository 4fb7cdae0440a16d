"""Runs of Weights & Biases: the file `run-ID.wandb` that every run leaves, online or not, and the CSV of a chart.

A `.wandb` file is a LevelDB log (blocks of 32 KiB; a record may be cut into parts) of messages, of which the run's
name, group and settings, its history and its summary are read. The CSV that the web page exports of its table of runs
is a table as any other; that of a chart has a column `NAME - METRIC` a run, and a row a step.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablata.base.errors import DataError
from ablata.trainers.readers.curves import Take, chosen
from ablata.trainers.readers.protobuf import BrokenMessageError, Field, fields, texts
from ablata.trainers.readers.tables import flatten
from ablata.trainers.readers.tracker import TrackedRun

SUFFIX = ".wandb"
_HEAD = b":W&B"
_BLOCK = 32 * 2**10
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
_CHART = re.compile(r"(?P<run>.+) - (?P<metric>[^ ].*?)(?P<end>__MIN|__MAX)?")
_STEPS = ("step", "_step", "epoch", "global_step", "relative time (process)", "relative time (wall)", "wall time")


def read_wandb_file(path: Path, take: Take) -> TrackedRun:
    """Return the run of a `.wandb` file; what a killed run had not written is missing.

    Raises:
        DataError: it is no such file.
    """
    name = group = project = ""
    settings: dict[str, Any] = {}
    points: list[dict[str, float]] = []
    summary: dict[str, float] = {}
    ended = False
    time: float | None = None
    try:
        for record in _records(path):
            for number, message in fields(record):
                if not isinstance(message, bytes):
                    continue
                if number == _HISTORY:
                    points.append(_figures(texts(message, 1)))
                elif number == _SUMMARY:
                    summary |= _figures(texts(message, 1))
                elif number == _CONFIG:
                    settings |= _items(texts(message, 1))
                elif number == _EXIT:
                    ended = not any(found == 1 and code != 0 for found, code in fields(message))
                elif number == _RUN:
                    parts = dict(fields(message))
                    name, group = _text(parts.get(8)) or name, _text(parts.get(6)) or group
                    project = _text(parts.get(3)) or project
                    if isinstance(started := parts.get(17), bytes):
                        time = next((float(value) for _, value in fields(started) if isinstance(value, int)), time)
                    for config in texts(message, 4):
                        settings |= _items(texts(config, 1))
    except BrokenMessageError as error:
        raise DataError(
            "A .wandb file must be of Weights & Biases",
            found=f"{path}: {error}",
            do="leave the file out, or copy it again",
        ) from None
    scores = {key: value for key, value in (summary | chosen(points, take)).items() if not key.startswith("_")}
    return TrackedRun(
        name=name,
        group=group,
        project=project,
        settings=settings,
        scores=scores,
        source=path.name,
        ended=ended,
        time=path.stat().st_mtime if time is None else time,
    )


def is_chart(names: Sequence[str]) -> bool:
    """Return whether a table's columns are those of a chart's CSV: a step, then `NAME - METRIC` for each run."""
    return len(names) > 1 and names[0].lower() in _STEPS and all(_CHART.fullmatch(name) for name in names[1:])


def read_chart(rows: Sequence[Mapping[str, str]], path: Path, take: Take) -> list[TrackedRun]:
    """Return the runs of a chart's CSV, without the columns of smallest and largest values."""
    points: dict[str, list[dict[str, str]]] = {}
    time = path.stat().st_mtime
    for row in rows:
        for column, cell in row.items():
            match = _CHART.fullmatch(column)
            if match and not match["end"]:
                points.setdefault(match["run"], []).append({match["metric"]: cell})
    return [
        TrackedRun(name=name, settings={}, scores=chosen(found, take), source=f"{path.name}, {name}", time=time)
        for name, found in points.items()
    ]


def _records(path: Path) -> Iterator[bytes]:
    """Yield the whole records of a log; one that is cut off at the end is left out."""
    content = path.read_bytes()
    if content[:4] != _HEAD:
        raise DataError(
            "A .wandb file must be of Weights & Biases",
            found=f"{path}: it begins otherwise",
            do="leave the file out, or copy it again",
        )
    place, parts = 7, b""
    while place + 7 <= len(content):
        if (left := _BLOCK - place % _BLOCK) < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        part = content[place + 7 : place + 7 + length]
        if len(part) < length or kind not in (1, 2, 3, 4):
            return
        place += 7 + length
        parts = part if kind in (1, 2) else parts + part
        if kind in (1, 4):
            yield parts


def _items(items: Sequence[bytes]) -> dict[str, Any]:
    """Return the leaves of a list of keys and values by dotted keys, those of its own (`_wandb`) left out."""
    found: dict[str, Any] = {}
    for item in items:
        parts = dict(fields(item))
        key = ".".join(part.decode("utf-8", "replace") for part in texts(item, 2)) or _text(parts.get(1))
        value = _value(parts)
        if key and not key.startswith("_") and value is not None:
            found |= flatten({key: value})
    return found


def _figures(items: Sequence[bytes]) -> dict[str, float]:
    found = _items(items)
    return {
        key: float(value)
        for key, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _value(parts: Mapping[int, Field]) -> Any:
    """Return an item's value: JSON text, or a number of its own field (whole ones with their sign in the last bit)."""
    for number in (16, 8):
        if isinstance(text := parts.get(number), bytes):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                return None
    whole, real = parts.get(5), parts.get(6)
    if isinstance(whole, int):
        return (whole >> 1) ^ -(whole & 1)
    return real if isinstance(real, float) else None


def _text(value: Field | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
