"""Re-identification from one folder of images whose names say identity and camera, such as 0001_c1s1_000151_00.jpg.

Identities are divided, never images of one: those of val are searched by the images of one camera among the others'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from ablata.base.errors import DataError
from ablata.base.quantities import counted
from ablata.base.settings import INCIDENTAL, ON_DISK
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under
from ablata.data.loading.cache import combined
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.locate import find_root
from ablata.data.reid.dataset import ReidDataset, held_out_identities
from ablata.data.reid.layouts import NAMED, PATTERN, is_named
from ablata.data.reid.market1501 import NOBODY, Market, NamedImage, one_spelling

_NOMINAL_IDENTITIES = 751
_FEWEST = 4


class Identities(Market):
    """Images of persons, animals or things by several cameras in one folder, divided by identity."""

    kind: Literal["identities"] = "identities"  # type: ignore[assignment]
    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """The folder, or a zip of it."""
    pattern: str = PATTERN
    """Regular expression of how names begin, with the groups `identity` and `camera`."""
    val: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Fraction of the identities to be found, drawn by `split_seed`; the others are trained on."""

    @field_validator("pattern")
    @classmethod
    def _names_both(cls, value: str) -> str:
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"must be a regular expression, got {value!r}: {error}") from None
        if not {"identity", "camera"} <= set(groups):
            raise ValueError(f"must have the groups (?P<identity>...) and (?P<camera>...), got {value!r}")
        return value

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether most images of a folder are called so; see `Settings.recognizes`."""
        return is_named(folder)

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with as many identities as Market-1501 trains on."""
        return NominalShape(classes=_NOMINAL_IDENTITIES, channels=3, height=self.height, width=self.width)

    def build(self, cache: Path) -> ReidDataset:
        """Find the files, divide the identities, decode and resize them the first time.

        Raises:
            DataError: the folder is not there, has fewer than four identities, or a file does not decode.
        """
        root = self.located(cache)
        images, others = self._named(root)
        images, notices = one_spelling(images)
        identities = sorted({image.identity for image in images})
        if len(identities) < _FEWEST:
            raise DataError(f"There must be {_FEWEST} identities, to train on and to find", found=f"{len(identities)}",
                            do=f"names are read by data.pattern={self.pattern}")  # fmt: skip
        held = {identities[row] for row in held_out_identities(len(identities), self.val, self.split_seed)}
        train = [image for image in images if image.identity not in held]
        val = [image for image in images if image.identity in held]
        first = {image.identity: min(one.camera for one in val if one.identity == image.identity) for image in val}
        queries = [image for image in val if image.camera == first[image.identity]]
        gallery = [image for image in val if image.camera != first[image.identity]]
        if not gallery:
            raise DataError("Identities must be seen by two cameras: one image searches for those of the others",
                            found=f"{len(held)} to be found, each by one camera",
                            do="name cameras in the files' names, or hold out other identities")  # fmt: skip
        train_seen, train_digest = self.seen(root, train, 0, cache)
        val_seen, val_digest = self.seen(root, [*queries, *gallery], len(queries), cache)
        notices += [f"{len(held)} of {len(identities)} identities are to be found, drawn with data.split_seed="
                   f"{self.split_seed}: those by the first camera of each search among the others"]  # fmt: skip
        if others:
            left = counted(len(others), "image is called", "images are called")
            notices.append(f"{left} otherwise, or show nobody, and left out: {others[0]}")
        return ReidDataset(
            train_seen,
            val_seen,
            self,
            fingerprint=combined([train_digest, val_digest]),
            backend=self.backend_name(),
            notices=notices,
        )

    def located(self, cache: Path) -> Path:
        """Return the folder; see `Market.located`."""
        return find_root(self.root, default=None, fits=self._holds_names, layout=NAMED, cache=cache)

    def faults(self, cache: Path) -> list[str]:
        """Return the files that do not decode; see `ReidSettings.faults`."""
        root = self.located(cache)
        return self.undecodable(root, [image.file for image in self._named(root)[0]])

    def _holds_names(self, folder: Path) -> bool:
        return folder.is_dir() and bool(self._named(folder)[0])

    def _named(self, root: Path) -> tuple[list[NamedImage], Sequence[str]]:
        """Return the images whose names say who is on them, and the others."""
        images, others = [], []
        for file in files_under(root):
            if file.suffix.lower() not in IMAGE_SUFFIXES:
                continue
            said = re.match(self.pattern, file.stem)
            if said is None or said["identity"] in NOBODY:
                others.append(file.relative_to(root).as_posix())
            else:
                images.append(NamedImage(file, said["identity"], int(re.sub(r"\D", "", said["camera"]) or 0)))
        return images, others
