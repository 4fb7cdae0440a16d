"""Libraries that only the extra `vision` brings: judging needs none of them, training with our recipes does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ablata.base.errors import UserError

_VISION = frozenset(
    {"torch", "torchvision", "timm", "sklearn", "PIL", "cv2", "faster_coco_eval", "safetensors", "pyarrow"}
)
"""Names that they are imported by."""


class MissingLibraryError(UserError):
    """A library of the extra `vision` is not installed."""


@contextmanager
def vision_libraries() -> Iterator[None]:
    """Say in words what to install where the block imports a library of the extra `vision` that is not there.

    Raises:
        MissingLibraryError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _VISION:
            raise
        raise MissingLibraryError(
            "Recipes, networks and images need the libraries of the extra `vision`; judging scores and comparing "
            "commands do not",
            found=f"{name} is not installed",
            do="pip install 'ablata[vision]'",
        ) from None
