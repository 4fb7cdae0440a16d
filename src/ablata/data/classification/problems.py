"""What can be wrong with a data set of image files, in words that the whole project uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fault = Literal["unreadable", "animated", "huge"]
"""What keeps an image, or a whole tar, from being used."""
Wrong = Literal[Fault, "empty class", "unknown class", "in train and val"]
"""What keeps a set from being trained on, or its scores from being believed."""
Remark = Literal["no image", "grey", "smaller than the crop"]
"""What is worth knowing, and does no harm."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: what, where (relative to the set's folder), and the detail."""

    kind: Wrong | Remark
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}" + (f" ({self.detail})" if self.detail else "")
