"""What a checkpoint's header says, read without torch or the weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

_MOST_BYTES = 100_000_000
"""Length of a header beyond which a file is none of ours; safetensors has the same limit."""


def checkpoint_facts(path: Path) -> dict[str, Any] | None:
    """Return the facts in the header of a checkpoint (safetensors: its length in 8 bytes, then JSON); None: no such."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length)) if length <= _MOST_BYTES else {}
        facts = json.loads(header["__metadata__"]["ablata"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
    return facts if isinstance(facts, dict) else None


def best_of(folder: Path) -> dict[str, Any] | None:
    """Return which checkpoint of a run is the best, as its files say: key, value, step, why; None: none is kept."""
    for name in ("best", "last"):
        facts = checkpoint_facts(folder / f"{name}.safetensors")
        if facts is not None and isinstance(facts.get("best"), dict):
            best: dict[str, Any] = facts["best"]
            return best
    return None
