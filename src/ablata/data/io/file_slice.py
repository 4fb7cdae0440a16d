"""Slices of files: where an encoded image lies, in a file of its own, or inside a tar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError


@dataclass(frozen=True)
class Member:
    """An image inside a tar.

    Attributes:
        tar: the tar.
        name: the member's name.
        offset: where its bytes begin, counted from the tar's first.
        size: how many there are.
    """

    tar: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        """Return tar and name, for messages."""
        return f"{self.tar}: {self.name}"


Stored = Path | Member | np.ndarray
"""A file, a member of a tar, or an image that is decoded already: uint8 [H, W, 3]."""


def content_of(image: Path | Member) -> bytes:
    """Read the encoded bytes.

    Raises:
        DataError: the file cannot be read, or ends before the image does.
    """
    try:
        if isinstance(image, Path):
            return image.read_bytes()
        with image.tar.open("rb") as stream:
            stream.seek(image.offset)
            content = stream.read(image.size)
    except OSError as error:
        raise DataError(
            "Every image file must be readable",
            found=f"{image}: {error.strerror}",
            do="see that you may read it, and that its disk is there",
        ) from None
    if len(content) < image.size:
        raise DataError(
            "A tar must be whole",
            found=f"{image}: {len(content)} bytes of {image.size}",
            do="fetch the tar again",
        )
    return content
