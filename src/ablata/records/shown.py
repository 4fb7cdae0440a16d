"""What a finished run keeps to be looked at: pictures of its predictions, and the score of every class.

shown/shown.json       split, protocol, classes with scores, captions
shown/picture-0.jpg    the pictures, in the order of their captions
shown/key.jpg          what the colours mean
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablata.base.errors import RecordError
from ablata.base.files import write_bytes, write_text

FOLDER = "shown"
_FORMAT = 1
_KEY = "key.jpg"
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class ShownPicture:
    """A picture: what it shows, a line under it, and its JPEG file's bytes."""

    alt: str
    caption: str
    content: bytes


@dataclass(frozen=True)
class Shown:
    """What there is to look at.

    Attributes:
        split: the split that was looked at.
        protocol: how it was scored.
        class_metric: what the classes' scores are: `iou`.
        classes: name and score in percent of each class, None for one that the split does not hold; empty: unknown.
        pictures: the pictures.
        key: bytes of a JPEG file that says what their colours mean; None: nothing to say.
    """

    split: str
    protocol: str
    class_metric: str = ""
    classes: tuple[tuple[str, float | None], ...] = ()
    pictures: tuple[ShownPicture, ...] = ()
    key: bytes | None = None


def write_shown(run: Path, shown: Shown) -> None:
    """Write into a run's folder; the list comes last, so that it names only what is there."""
    for number, picture in enumerate(shown.pictures):
        write_bytes(_place(run, number), picture.content)
    if shown.key is not None:
        write_bytes(run / FOLDER / _KEY, shown.key)
    told = {
        "format": _FORMAT,
        "split": shown.split,
        "protocol": shown.protocol,
        "class_metric": shown.class_metric,
        "classes": [[name, _finite(score)] for name, score in shown.classes],
        "pictures": [{"alt": picture.alt, "caption": picture.caption} for picture in shown.pictures],
    }
    write_text(run / FOLDER / "shown.json", json.dumps(told, indent=1) + "\n")


def read_shown(run: Path) -> Shown | None:
    """Read from a run's folder; None where nothing was kept. A picture whose file is gone or no JPEG is left out.

    Raises:
        RecordError: the list is damaged or newer.
    """
    path = run / FOLDER / "shown.json"
    if not path.is_file():
        return None
    try:
        told: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] > _FORMAT:
            raise ValueError(f"format {told['format']}, this version reads up to {_FORMAT}")
        pictures = [
            ShownPicture(str(one["alt"]), str(one["caption"]), content)
            for number, one in enumerate(told["pictures"])
            if (content := _content(_place(run, number))) is not None
        ]
        classes = tuple((str(name), None if score is None else float(score)) for name, score in told["classes"])
        key = _content(run / FOLDER / _KEY)
        split, protocol, metric = (str(told[name]) for name in ("split", "protocol", "class_metric"))
        return Shown(split, protocol, metric, classes, tuple(pictures), key)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            "What a run shows must be readable", found=f"{path}: {type(error).__name__}: {error}",
            do=f"remove {path.parent}: reports then go without it",
        ) from None  # fmt: skip


def _place(run: Path, number: int) -> Path:
    return run / FOLDER / f"picture-{number}.jpg"


def _content(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(_JPEG) else None


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None
