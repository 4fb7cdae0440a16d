"""Scores of single items: what a finished run got on each image of a split, kept beside its checkpoints.

items/SPLIT-DIGEST.npz     one a split and protocol, compressed; arrays without pickled objects:
    about                  JSON text: format, split, protocol
    items                  text (m,), what each item is called, the same in every run on the same data
    groups                 text (m,), which items belong together, such as the frames of a video; absent: each alone
    value/NAME             float (m,), in the unit of the score NAME of the run, of which they are the parts: their mean
                           is that score. Names that are no score of the run, such as `margin`, stand beside.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablata.base.errors import RecordError, reason
from ablata.base.files import Fence, write_bytes

FOLDER = "items"
_FORMAT = 1
_VALUE = "value/"
LIMIT_BYTES = 512 << 20
"""A record that unpacks to more is refused: it is a mistake or an attack."""


@dataclass(frozen=True, eq=False)
class ItemScores:
    """What one run got on each item of a split.

    Attributes:
        split: the split; empty where a program told none.
        protocol: how it was scored; empty likewise.
        items: what the m items are called, each once.
        values: by name, float64 (m,), in the unit of the score of that name.
        groups: (m,), which items belong together; None: each stands alone.

    Raises:
        ValueError: lengths differ, an item is named twice, or a value is not finite.
    """

    split: str
    protocol: str
    items: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(set(self.items)) < len(self.items):
            twice = Counter(self.items).most_common(1)[0][0]
            raise ValueError(f"every item must be named once, {twice!r} is named again")
        if self.groups is not None and len(self.groups) != len(self.items):
            raise ValueError(f"{len(self.items)} items need as many groups, got {len(self.groups)}")
        for name, values in self.values.items():
            if values.shape != (len(self.items),):
                raise ValueError(f"{len(self.items)} items need as many values of {name}, got shape {values.shape}")
            if not np.isfinite(values).all():
                raise ValueError(f"values of {name} must be finite, got {values[~np.isfinite(values)][0]}")

    @property
    def keys(self) -> dict[str, str]:
        """The names of the values by the key that a run's scores have for them, `split/protocol/name`."""
        before = "/".join(filter(None, (self.split, self.protocol)))
        return {f"{before}/{name}" if before else name: name for name in self.values}


def write_items(run: Path, scores: ItemScores, fence: Fence = nullcontext) -> Path:
    """Write into a run's folder, inside the fence, in the place of earlier ones of that split and protocol."""
    about = json.dumps({"format": _FORMAT, "split": scores.split, "protocol": scores.protocol})
    arrays: dict[str, NDArray[np.generic]] = {"about": np.array(about), "items": np.array(scores.items, dtype=np.str_)}
    if scores.groups is not None:
        arrays["groups"] = np.array(scores.groups, dtype=np.str_)
    for name, values in scores.values.items():
        arrays[_VALUE + name] = values.astype(np.float32)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    path = _path(run, scores.split, scores.protocol)
    write_bytes(path, content.getvalue(), fence)
    return path


def has_items(run: Path, split: str, protocol: str) -> bool:
    """Tell whether a run's folder holds the items of a split and protocol."""
    return _path(run, split, protocol).is_file()


def read_items(run: Path, split: str, protocol: str) -> ItemScores | None:
    """Read a run's items of a split and protocol; None where it kept none.

    Raises:
        RecordError: the file is damaged, too large, or newer.
    """
    path = _path(run, split, protocol)
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LIMIT_BYTES:
            raise ValueError(f"unpacks to {size:,} bytes, more than the {LIMIT_BYTES:,} allowed")
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            if about["format"] > _FORMAT:
                raise ValueError(f"format {about['format']}, this version reads up to {_FORMAT}")
            names = [name for name in arrays.files if name.startswith(_VALUE)]
            return ItemScores(
                str(about["split"]),
                str(about["protocol"]),
                tuple(arrays["items"].astype(np.str_).tolist()),
                {name.removeprefix(_VALUE): arrays[name].astype(np.float64) for name in names},
                tuple(arrays["groups"].astype(np.str_).tolist()) if "groups" in arrays.files else None,
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise RecordError(
            "What a run keeps of single items must be readable", found=f"{path}: {reason(error)}",
            do="remove it: the run is then judged by its scores alone",
        ) from None  # fmt: skip


def _path(run: Path, split: str, protocol: str) -> Path:
    # A protocol may be a function in a file: its name is no file name.
    digest = hashlib.blake2b(f"{split}\0{protocol}".encode(), digest_size=6).hexdigest()
    return run / FOLDER / f"{split or 'items'}-{digest}.npz"
