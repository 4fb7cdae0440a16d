"""What a checkpoint's header says, read without torch or the weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

_MOST_BYTES = 100_000_000
"""Length of a header beyond which a file is none of ours; safetensors has the same limit."""


def checkpoint_facts(path: Path) -> dict[str, Any] | None:
    """Return the facts in the header of a checkpoint; None: there is no such file, or it is none of ours."""
    try:
        facts = json.loads(_header(path)["ablata"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
    return facts if isinstance(facts, dict) else None


def checkpoint_digest(path: Path) -> str | None:
    """Return the digest of all that a checkpoint holds, as its header says; None as for `checkpoint_facts`.

    Whether the file still holds that is known once it is loaded.
    """
    try:
        digest = _header(path)["digest"]
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
    return digest if isinstance(digest, str) else None


def _header(path: Path) -> dict[str, Any]:
    """Return the texts that a file of the format safetensors carries: its length in 8 bytes, then JSON."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length)) if length <= _MOST_BYTES else {}
    texts: dict[str, Any] = header["__metadata__"]
    return texts


def best_of(folder: Path) -> dict[str, Any] | None:
    """Return which checkpoint of a run is the best, as its files say: key, value, step, why; None: none is kept."""
    for name in ("best", "last"):
        facts = checkpoint_facts(folder / f"{name}.safetensors")
        if facts is not None and isinstance(facts.get("best"), dict):
            best: dict[str, Any] = facts["best"]
            return best
    return None
