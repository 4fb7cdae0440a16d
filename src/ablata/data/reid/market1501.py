"""Market-1501 and its folder layout (Zheng et al. 2015, ICCV, "Scalable Person Re-identification: A Benchmark").

    bounding_box_train   persons to train on
    bounding_box_test    the gallery: other persons, distractors (0000) and junk (-1)
    query                images of the persons of the gallery to search with

A name such as 0002_c1s1_000451_03.jpg says identity 2, camera 1, sequence 1, frame 451, box 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from ablata.base.cores import usable_cores
from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.base.settings import INCIDENTAL, ON_DISK
from ablata.data.io.crop import Backend, Interpolation, backend_name, resize
from ablata.data.io.decode import IMAGE_SUFFIXES, decode_array, open_image, to_rgb
from ablata.data.loading.cache import combined, folder_digest, load_array, stored_arrays
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.in_memory import ImageArrays
from ablata.data.loading.locate import find_root
from ablata.data.reid.dataset import IdentitySource, ReidDataset, ReidSettings, held_out_identities
from ablata.data.reid.layouts import GALLERY, MARKET, QUERY, TRAIN, is_market
from ablata.data.transforms.classification import Augment

_NAME = re.compile(r"(?P<identity>-1|\d{4,})_c(?P<camera>\d+)s\d+_\d+_\d+")
_JUNK, DISTRACTOR = "-1", "0000"
NOBODY = (_JUNK, DISTRACTOR)
"""What stands in names of images that show no identity: junk, and distractors."""
_IDENTITIES = 751
"""Training identities of the published set."""
_VERSION = 1


class Market(ReidSettings):
    """Market-1501, or another set in its layout; all images resized to one size and kept in memory."""

    kind: Literal["market"] = "market"
    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """The folder, or a zip of it; null: `market1501` under ABLATA_DATA."""
    interpolation: Interpolation = "bilinear"
    """Filter of resizing."""
    backend: Backend = "torch"
    """What resizes: torch (PIL's filter within two grey levels, fastest), pil, or opencv (no antialias)."""
    augment: Augment = Augment(flip=True, pad=8)
    """Augmentation of training batches."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 751 training identities of the published set."""
        held = len(held_out_identities(_IDENTITIES, self.minival, self.split_seed))
        return NominalShape(_IDENTITIES - held, channels=3, height=self.height, width=self.width)

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return is_market(folder)

    def build(self, cache: Path) -> ReidDataset:
        """Find the files, decode and resize them the first time, and map them.

        Raises:
            DataError: the layout is not there, a file has a wrong name or does not decode, or minival is out of range.
        """
        root = self.located(cache)
        train, ignored = _images(root / TRAIN, allowed=())
        gallery, ignored_gallery = _images(root / GALLERY, allowed=(_JUNK, DISTRACTOR))
        queries, ignored_queries = _images(root / QUERY, allowed=())
        junk = [entry for entry in gallery if entry.identity == _JUNK]
        gallery = [entry for entry in gallery if entry.identity != _JUNK]
        spelled, notices = one_spelling([*train, *queries, *gallery])
        ends = len(train), len(train) + len(queries)
        train, queries, gallery = spelled[: ends[0]], spelled[ends[0] : ends[1]], spelled[ends[1] :]
        _refuse_shared(train, [*queries, *gallery])
        train_seen, train_digest = self.seen(root, train, 0, cache)
        val_seen, val_digest = self.seen(root, [*queries, *gallery], len(queries), cache)
        return ReidDataset(
            train_seen,
            val_seen,
            self,
            fingerprint=combined([train_digest, val_digest]),
            backend=self.backend_name(),
            notices=[*notices, *_notices(root, junk, [*ignored, *ignored_gallery, *ignored_queries])],
        )

    def located(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: the layout is not there.
        """
        return find_root(self.root, default="market1501", fits=is_market, layout=MARKET, cache=cache)

    def faults(self, cache: Path) -> list[str]:
        """Return the files whose names are wrong or that do not decode; see `ReidSettings.faults`."""
        root = self.located(cache)
        entries = [entry for name in (TRAIN, GALLERY, QUERY) for entry in sorted((root / name).iterdir())]
        files = [file for file in entries if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")]
        named = [f"{file.relative_to(root).as_posix()}: the name does not say identity and camera"
                 for file in files if _NAME.fullmatch(file.stem) is None]  # fmt: skip
        return named + self.undecodable(root, files)

    def undecodable(self, root: Path, files: Sequence[Path]) -> list[str]:
        """Return the files that cannot be read as training reads them, and why."""

        def fault(file: Path) -> str | None:
            try:
                self.read_image(file)
            except DataError as error:
                return f"{file.relative_to(root).as_posix()}: {(error.found or '').removeprefix(f'{file}: ')}"
            return None

        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            return [told for told in pool.map(fault, files) if told is not None]

    def seen(self, root: Path, images: Sequence[NamedImage], queries: int, cache: Path) -> tuple[IdentitySource, str]:
        """Decode images the first time; return a source, its first `queries` images to search with, and a digest."""
        files = [entry.file for entry in images]
        digest = folder_digest(root, files, cache)
        name = f"market-{digest[:32]}-{self.height}x{self.width}-{self.backend_name().replace(' ', '-')}-{_VERSION}"
        folder, _ = stored_arrays(cache / "decoded" / name, cache, lambda draft: self._decode(draft, files))
        said = [entry.identity for entry in images]
        numbers = np.array([int(name) for name in said] if all(map(str.isdecimal, said)) else said)
        _, first, identities = np.unique(numbers, return_index=True, return_inverse=True)
        names = tuple(images[row].identity for row in first)
        store = ImageArrays(load_array(folder / "images.npy"), identities.astype(np.int64))
        cameras = np.array([entry.camera for entry in images], np.int64)
        return IdentitySource(store, cameras, np.arange(len(images)) < queries, names), digest

    def _decode(self, draft: Path, files: Sequence[Path]) -> dict[str, object]:
        shape = (len(files), 3, self.height, self.width)
        images = np.lib.format.open_memmap(draft / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        with ThreadPoolExecutor(min(8, usable_cores())) as pool:
            for row, pixels in enumerate(pool.map(self.read_image, files)):
                images[row] = pixels
        images.flush()
        return {}

    def read_image(self, file: Path) -> np.ndarray:
        """Decode and resize one file to uint8 [3, height, width]."""
        content = _content(file)
        header = open_image(content, str(file))
        image = to_rgb(header, str(file)) if self.backend == "pil" else decode_array(content, header, str(file))
        return resize(image, (self.height, self.width), self.backend, self.interpolation).transpose(2, 0, 1)

    def backend_name(self) -> str:
        """Name what decodes and resizes, for checkpoints."""
        return backend_name(self.backend, self.interpolation)


@dataclass(frozen=True)
class NamedImage:
    """A file, and the identity and camera that its name says."""

    file: Path
    identity: str
    camera: int


def one_spelling(images: Sequence[NamedImage]) -> tuple[list[NamedImage], list[str]]:
    """Return images whose identities are spelled in one way each, `7` and `0007` being one, and a notice of such."""
    spellings: dict[str, set[str]] = {}
    for image in images:
        spellings.setdefault(_number(image.identity), set()).add(image.identity)
    several = [sorted(found, key=len) for found in spellings.values() if len(found) > 1]
    told = [f"one identity, spelled in several ways: {listing(', '.join(found) for found in several[:4])}"]
    longest = {number: max(found, key=len) for number, found in spellings.items()}
    return [replace(image, identity=longest[_number(image.identity)]) for image in images], told if several else []


def _number(identity: str) -> str:
    return identity.lstrip("0") or "0" if identity.isdecimal() else identity


def _images(folder: Path, allowed: Sequence[str]) -> tuple[list[NamedImage], list[Path]]:
    """Return the images of a folder in the order of their names, and the files that are no images.

    Raises:
        DataError: an image's name does not say identity and camera, or it shows nobody where that is not `allowed`.
    """
    images, ignored = [], []
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file()):
        if file.suffix.lower() not in IMAGE_SUFFIXES or file.name.startswith("."):
            ignored.append(file)
            continue
        said = _NAME.fullmatch(file.stem)
        if said is None:
            raise DataError(
                "An image's name must say identity and camera, such as 0002_c1s1_000451_03.jpg",
                found=str(file),
                do="rename or remove it",
            )
        if said["identity"] in (_JUNK, DISTRACTOR) and said["identity"] not in allowed:
            raise DataError(
                f"Junk (-1) and distractors (0000) belong into {GALLERY} alone", found=str(file), do="remove it"
            )
        images.append(NamedImage(file, said["identity"], int(said["camera"])))
    if not images:
        raise DataError("Every folder of the set must hold images", found=f"none in {folder}", do=MARKET)
    return images, ignored


def _refuse_shared(train: Sequence[NamedImage], val: Sequence[NamedImage]) -> None:
    shared = sorted({entry.identity for entry in train} & {entry.identity for entry in val})
    if shared:
        first = next(entry.file for entry in val if entry.identity == shared[0])
        raise DataError(
            "Persons to be found must not be trained on",
            found=f"{counted(len(shared), 'identity')} in both: {listing(shared[:5])}; for example {first}",
            do=f"remove them from {TRAIN}, or from {GALLERY} and {QUERY}",
        )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            "Every image file must be readable",
            found=f"{file}: {error.strerror}",
            do="see that you may read it, and that its disk is there",
        ) from None


def _notices(root: Path, junk: Sequence[NamedImage], ignored: Sequence[Path]) -> list[str]:
    notices = [f"{counted(len(junk), 'image')} of {GALLERY} left out as junk (-1)"] if junk else []
    if ignored:
        shown = listing(file.relative_to(root).as_posix() for file in ignored[:5])
        more = ", ..." if len(ignored) > 5 else ""
        notices.append(
            f"{counted(len(ignored), 'file is no image and is', 'files are no images and are')} ignored: {shown}{more}"
        )
    return notices
