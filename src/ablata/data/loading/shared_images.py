"""Images that are in two splits: scores flatter where an image is scored on that was trained on.

One rule for classes in folders, masks and boxes. `data check` compares decoded pixels, and counts each such image as a
problem. Training compares files: it tells those with equal content, and refuses to begin where an image is the same
file in train and val, or where val is a copy of images of train under their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, listing

IN_TWO_SPLITS: Literal["in two splits"] = "in two splits"
"""What a check calls it."""
MUST = "An image must not be in both the training and the validation split"
TOLD = "images that are in train and val both (scores flatter)"
_SHOWN = 3


def pixel_digest(pixels: np.ndarray) -> str:
    """Return a hash of decoded pixels, uint8 [H, W, C], and of their shape: 32 hexadecimal digits."""
    content = hashlib.blake2b(f"{pixels.shape}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(pixels).tobytes())
    return content.hexdigest()


def repeated_images(splits: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each image of a split that is also in one before it, and that one.

    Args:
        splits: of each split, train first, the name of an image by its `pixel_digest`.
    """
    seen: dict[str, str] = {}
    for images in splits.values():
        yield from ((where, seen[digest]) for digest, where in images.items() if digest in seen)
        seen = {**images, **seen}


def shared_files(train: Sequence[Path], val: Sequence[Path], digests: Mapping[Path, str]) -> tuple[bool, list[str]]:
    """Find files of val that are in train too.

    Args:
        train: files that are trained on.
        val: files that are scored on.
        digests: of their contents; files without one are left alone.

    Returns:
        Whether that is refused, and a sentence for each of them.
    """
    trained = {digests[file]: file for file in train if file in digests}
    shared = [(file, trained[digests[file]]) for file in val if digests.get(file) in trained]
    same = [str(file) for file, other in shared if file.resolve() == other.resolve()]
    said = [f"{file} has the content of {other}" for file, other in shared]
    copied = bool(shared) and sum(file.name == other.name for file, other in shared) == len(val)
    if not (same or copied):
        return False, said
    return True, [f"{len(shared)} of {len(val)} are in both: {listing((same or said)[:_SHOWN])}"]


def tell_shared(train: Sequence[Path], val: Sequence[Path], digests: Mapping[Path, str]) -> tuple[str, ...]:
    """Return a notice of files of val that are in train too; see `shared_files`.

    Raises:
        DataError: it is refused.
    """
    refused, said = shared_files(train, val, digests)
    if refused:
        raise DataError(MUST, found=said[0], do="remove them from one of the two (ablata data check lists all)")
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return (f"{TOLD}: {', '.join(said[:_SHOWN])}{more}",) if said else ()


def tell_contrary(files: Sequence[Path], labels: Sequence[int], digests: Mapping[Path, str]) -> tuple[str, ...]:
    """Return a notice of files of equal content that have different labels.

    Args:
        files: that are trained on.
        labels: one a file.
        digests: of their contents; files without one are left alone.
    """
    first: dict[str, tuple[int, Path]] = {}
    said = []
    for file, label in zip(files, labels, strict=True):
        if file in digests:
            own, other = first.setdefault(digests[file], (label, file))
            if own != label:
                said.append(f"{file} has the content of {other}")
    more = f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return (f"training images with two labels: {', '.join(said[:_SHOWN])}{more}",) if said else ()
