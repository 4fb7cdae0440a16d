"""Small images of single items, such as those on which two arms disagree: kept beside the item scores of a run.

items/images/DIGEST.jpg     one an item, by a digest of the split's and the item's name
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from ablata.base.files import Fence, write_bytes
from ablata.records.run_folder.items import FOLDER

LIMIT_BYTES = 32 << 10
"""A larger one is not read: a page holds many."""
_JPEG = b"\xff\xd8\xff"


def write_item_images(run: Path, split: str, images: Mapping[str, bytes], fence: Fence = nullcontext) -> None:
    """Write JPEG files, by item, into a run's folder, inside the fence."""
    for item, content in images.items():
        write_bytes(_path(run, split, item), content, fence)


def read_item_image(run: Path, split: str, item: str) -> bytes | None:
    """Return an item's JPEG file; None where there is none, or what is there is none or too large for a page."""
    path = _path(run, split, item)
    try:
        if path.stat().st_size > LIMIT_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    return content if content.startswith(_JPEG) else None


def _path(run: Path, split: str, item: str) -> Path:
    # An item's name is often a path of its own.
    digest = hashlib.blake2b(f"{split}\0{item}".encode(), digest_size=8).hexdigest()
    return run / FOLDER / "images" / f"{digest}.jpg"
