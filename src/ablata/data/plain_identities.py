"""Plain torch data sets of identities, for re-identification: `data=mine.py:Cows data.height=128`.

They are given as those of plain.py; an item is `(image, (identity, camera))`, whole numbers or texts. Validation must
be of other identities than training. Its images by the first camera of each identity search among all others; or a
third value says of each image whether it searches: `(identity, camera, True)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.io.crop import resize
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.in_memory import ImageArrays
from ablata.data.loading.splits import Source
from ablata.data.plain import PlainSource, plain_settings
from ablata.data.plain_items import content_digest, in_color, in_words
from ablata.data.reid.dataset import IdentitySource, ReidDataset, ReidSettings


class PlainIdentities(PlainSource, ReidSettings):
    """Settings of a plain set of identities; images are resized to `height` and `width`."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        return NominalShape(len(self.build(Path()).classes), 3, self.height, self.width)

    def build(self, cache: Path) -> ReidDataset:
        """Read the set into memory.

        Raises:
            DataError: an item does not fit, an identity is in both splits, or nobody is seen by two cameras.
        """
        train, val = self._sightings("train"), self._sightings("val")
        if both := sorted(set(train.names) & set(val.names)):
            raise DataError(
                "Identities to be found must not be trained on",
                found=f"{self.kind}: {listing(both[:5])} in train and in val",
                do="divide the set by identity",
            )
        if not val.queries.any() or val.queries.all():
            raise DataError(
                "Identities of val must be seen by two cameras: one image searches for those of the others",
                found=f"{self.kind}, val: {val.queries.sum()} of {len(val.queries)} images search",
                do="give more cameras, or say of each image whether it is searched with: (identity, camera, True)",
            )
        parts = [part for seen in (train, val) for part in (seen.store.images, seen.store.labels, seen.cameras)]
        return ReidDataset(
            train,
            val,
            self,
            fingerprint=content_digest([*parts, val.queries], [*train.names, *val.names]),
            backend=self.backend_name(),
        )

    def _sightings(self, name: Source) -> IdentitySource:
        items = self.items(name)
        said = [_sighting(sighting, f"{self.kind}, {name} {row}") for row, (_, sighting) in enumerate(items)]
        images = [resize(in_color(pixels), (self.height, self.width), "pil", "bilinear") for pixels, _ in items]
        identities, cameras = ([values[place] for values in said] for place in (0, 1))
        names = sorted(set(identities), key=_order)
        seen, labels = _numbers(cameras, sorted(set(cameras), key=_order)), _numbers(identities, names)
        pixels = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
        return IdentitySource(
            ImageArrays(pixels, labels), seen, _queries(said, labels, seen, f"{self.kind}, {name}"), tuple(names)
        )


def identities(thing: Any, reference: str) -> type[PlainIdentities]:
    """Return the settings class of a plain set of identities.

    Raises:
        SettingsError: it is neither a class nor a function, or takes neither split nor train.
    """
    return plain_settings(PlainIdentities, thing, reference)


def _sighting(value: Any, where: str) -> tuple[str, ...]:
    """Return identity and camera as texts, and `1` or `0` where it says whether the image is searched with."""
    if not isinstance(value, tuple | list) or len(value) not in (2, 3):
        raise DataError(
            "What belongs to an image must be its identity and camera",
            found=f"{where}: {in_words(value)}",
            do="return (image, (identity, camera))",
        )
    taken = [entry.item() if getattr(entry, "ndim", None) == 0 else entry for entry in value]
    if not all(isinstance(entry, int | str) for entry in taken):
        raise DataError(
            "Identity and camera must be whole numbers or texts",
            found=f"{where}: {in_words(tuple(value))}",
            do="return (image, (identity, camera))",
        )
    return (*map(str, taken[:2]), *(str(int(bool(entry))) for entry in taken[2:]))


def _queries(said: Sequence[tuple[str, ...]], labels: np.ndarray, cameras: np.ndarray, where: str) -> np.ndarray:
    """Return bool [n], images that are searched with: as said, or those by the first camera of each identity."""
    if len({len(values) for values in said}) > 1:
        raise DataError(
            "All images must say whether they are searched with, or none",
            found=f"{where}: some do",
            do="return (identity, camera, whether) for each",
        )
    if len(said[0]) == 3:
        return np.array([values[2] == "1" for values in said])
    first = np.full(labels.max() + 1, cameras.max())
    np.minimum.at(first, labels, cameras)
    several = np.zeros(len(first), bool)
    several[labels[cameras != first[labels]]] = True
    queries: np.ndarray = (cameras == first[labels]) & several[labels]
    return queries


def _numbers(values: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Return the place of each value among the names, int64 [n]."""
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[value] for value in values], np.int64)


def _order(value: str) -> tuple[bool, int, str]:
    """Whole numbers by their size, before texts."""
    number = value.lstrip("-").isdecimal()
    return not number, int(value) if number else 0, value
