"""Settings and steps that sets of annotated image files share: files found and compared, splits, fingerprints."""

from __future__ import annotations

import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import unquote

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing, nearest
from ablata.base.files import digest
from ablata.base.quantities import counted
from ablata.base.seeds import derive
from ablata.base.settings import INCIDENTAL, ON_DISK
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset, ImageSource
from ablata.data.detection.problems import Findings, OnInvalid
from ablata.data.io.bit_depth import DARK, MUST_BE_BRIGHT, bits_advice, dark_detail
from ablata.data.io.decode import COLORS, IMAGE_SUFFIXES, ImageRules, decode_bands, open_image, upright_size
from ablata.data.io.encoded import Encoded
from ablata.data.io.headers import orientation_of, page_count, stored_bits
from ablata.data.io.read_settings import ImageReadSettings
from ablata.data.io.walk import exists, files_under, is_name
from ablata.data.loading.band_constants import constants_of, constants_of_files
from ablata.data.loading.cache import file_digests, folder_digest
from ablata.data.loading.dataset import DataSettings, NominalShape
from ablata.data.loading.shared_images import MUST, TOLD, shared_files
from ablata.data.loading.splits import SOURCES, Source, Split, splits_digest
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD

_THREADS = 8
_SHOWN = 3


class DetectionSettings(DataSettings):
    """Settings of object detection data sets; the base of all, not itself a choice."""

    kind: str
    """Which set."""
    augment: DetectionAugment = DetectionAugment()
    """Sizes of images, and random changes of training ones."""
    minival: Annotated[int, Field(ge=0)] = 0
    """Images held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Mean of red, green, blue that is subtracted, in 0..1 (ImageNet's, as pretrained backbones have it); of another
    number of bands those of the training set are measured where ImageNet's stand here."""
    std: tuple[float, ...] = IMAGENET_STD
    """What red, green, blue are divided by, in 0..1."""

    def class_count(self) -> int:
        """Return for how many classes complexity is counted."""
        raise NotImplementedError

    def has_masks(self) -> bool:
        """Tell whether the objects have masks."""
        return True

    def band_total(self) -> int:
        """Return how many bands a network sees."""
        return COLORS

    def image_size(self) -> tuple[int, int]:
        """Return the height and width that complexity is counted for."""
        return self.augment.nominal_size()

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, without reading the files."""
        height, width = (-(-side // 32) * 32 for side in self.image_size())
        return NominalShape(self.class_count(), channels=self.band_total(), height=height, width=width)


class DetectionFileSettings(DetectionSettings, ImageReadSettings):
    """Settings of object detection data sets in files; the base of several, not itself a choice."""

    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """Folder of the set, or a zip of it; null: looked for in the folder of data sets (ABLATA_DATA)."""
    on_invalid: OnInvalid = "repair"
    """What is done about faulty annotations: repaired where they have one meaning, or refused."""

    def band_total(self) -> int:
        """Return how many bands a network sees."""
        return self.band_count

    @abstractmethod
    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """

    @abstractmethod
    def read(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations and look at the image files, noting every fault.

        Raises:
            DataError: files are missing, or are not of the format at all.
        """

    def read_written(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations, keeping what objects were written as where the format needs it for conversion.

        Raises:
            DataError: see `read`.
        """
        return self.read(cache)

    def image_ids(self, files: Sequence[Path]) -> list[int | str] | None:
        """Return the set's own number or name of each of some image files; None: they are not all of one source."""
        return None

    def build(self, cache: Path) -> DetectionDataset:
        """Read and check the annotations.

        Raises:
            DataError: files are missing, are not of the format, or have faults that are refused.
        """
        return self.read(cache).dataset(self, cache)


class FileImages(ImageSource):
    """Images that are read from files.

    Args:
        entries: the images.
        files: the file of each.
        rules: how they are decoded.
    """

    def __init__(self, entries: Sequence[AnnotatedImage], files: Sequence[Path], rules: ImageRules) -> None:
        self.entries, self.files, self.rules = tuple(entries), tuple(files), rules

    def pixels(self, row: int) -> np.ndarray:
        """Return uint8 [H, W, C]."""
        file = self.files[row]
        return Encoded(file.read_bytes(), str(file), self.rules).array("opencv")

    def digest(self, row: int) -> str:
        """Return a hash of an image's file."""
        return digest(self.files[row])


@dataclass
class AnnotatedFiles:
    """A set of annotated image files as it was read, its faults noted.

    Attributes:
        root: its folder.
        classes: their names; a label is a position in them.
        sources: train and val.
        annotations: files that hold the annotations.
        findings: faults, none of them raised yet.
        category_ids: number of each class in the annotations; None: from 1 on.
        groups: of each training image, such as its patient; None: none.
        maskless: the objects without a mask.
        test: reads the images of the test split; None: there is none.
        known: further image files that the annotations or lists name, such as those to be tested on.
        test_hint: what gives the set a test split, where it has none.
    """

    root: Path
    classes: Sequence[str]
    sources: dict[Source, FileImages]
    annotations: Sequence[Path]
    findings: Findings
    category_ids: Sequence[int] | None = None
    groups: Sequence[str] | None = None
    maskless: Sequence[str] = ()
    test: Callable[[], tuple[FileImages, Findings]] | None = None
    known: Sequence[Path] = ()
    test_hint: str | None = None

    @property
    def files(self) -> list[Path]:
        """Return all files, those that are not there left out."""
        images = [file for source in self.sources.values() for file in source.files]
        return sorted({file for file in (*self.annotations, *images) if exists(file)})

    def note_shared(self, cache: Path) -> None:
        """Note images that are trained on and scored on too; see `shared_files`."""
        train, val = (self.sources[name].files for name in SOURCES)
        refused, said = shared_files(train, val, file_digests(self.root, self.files, cache))
        for one in said:
            if refused:
                self.findings.refuse(MUST, one)
            else:
                self.findings.repairable(MUST, TOLD, one)

    def beside(self) -> Iterator[str]:
        """Yield a sentence on image files below the root that no annotation and no list names, if there are any.

        Images of the same name as one of the set in a folder that holds none of it, such as its masks, belong to it.
        """
        known = [file.with_suffix(suffix) for file in self.known for suffix in {file.suffix, *IMAGE_SUFFIXES}]
        used = {file for source in self.sources.values() for file in source.files}.union(known)
        stems, folders = {file.stem for file in used}, {file.parent for file in used}
        used.update(self.annotations)
        images = (file for file in files_under(self.root) if file.suffix.lower() in IMAGE_SUFFIXES)
        left = [file for file in images if file not in used and (file.stem not in stems or file.parent in folders)]
        if left:
            some = listing(file.relative_to(self.root).as_posix() for file in left[:_SHOWN])
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            yield f"images that no annotation and no list names are left out: {some}{more}"

    def dataset(self, settings: DetectionFileSettings, cache: Path) -> DetectionDataset:
        """Return the set, ready to be read.

        Raises:
            DataError: a fault is refused.
        """
        if not self.findings.refused:
            self.note_shared(cache)
        notices = (*self.findings.notices(), *self.beside())
        train, val = (self.sources[name].entries for name in SOURCES)
        splits = image_splits(len(train), len(val), settings.minival, settings.split_seed, self.groups)
        fingerprint, rules = folder_digest(self.root, self.files, cache), settings.image_rules()
        kept = f"{fingerprint[:32]}-{splits_digest({'train': splits['train']})}-{rules.key()}constants.json"
        files = [self.sources["train"].files[row] for row in splits["train"].index]
        mean, std = constants_of(
            settings.mean,
            settings.std,
            rules.channels,
            lambda: constants_of_files(files, rules, cache / "inspected" / kept),
        )
        return DetectionDataset(
            classes=self.classes,
            sources=dict(self.sources),
            fingerprint=fingerprint,
            mean=mean,
            std=std,
            channels=rules.channels,
            splits=splits,
            augment=settings.augment,
            backend=decoder_name(rules),
            notices=notices,
            category_ids=self.category_ids,
            maskless=self.maskless,
            test=None if self.test is None else self._test_images,
            test_hint=self.test_hint,
        )

    def _test_images(self) -> ImageSource:
        assert self.test is not None
        source, findings = self.test()
        findings.notices()
        return source


def decoder_name(rules: ImageRules) -> str:
    """Name what decodes images, for checkpoints."""
    return "opencv" if rules.orientation == "applied" else "opencv orientation ignored"


def image_file(folder: Path, name: str, where: str, findings: Findings) -> Path:
    """Return the file of an image that is named below a folder; links may lead elsewhere, names may not.

    Separators of Windows, names as in an address (`my%20image.jpg`) and accents that are written as one sign or as two
    are read where that file is there. One that is missing is returned as named, for `check_files` to refuse.
    """
    slashed = name.replace("\\", "/")
    accents = [unicodedata.normalize(form, slashed) for form in ("NFC", "NFD")]
    for candidate in dict.fromkeys((name, slashed, unquote(slashed), *accents)):
        path = PurePosixPath(candidate)
        if path.is_absolute() or ".." in path.parts or not is_name(candidate):
            findings.refuse("Image names must be paths below the image folder, without ..", f"{where}: {name!r}")
            return folder / "outside"
        if exists(folder / path):
            if candidate != name:
                done = "names with backslashes, %20 or other accents read as those of files"
                findings.repairable(
                    "Image names must be paths with / between folders", done, f"{where}: {name!r} as {candidate}"
                )
            return folder / path
    return folder / name


@dataclass(frozen=True)
class _Measured:
    """What the header of an image file says.

    Attributes:
        size: height and width as it is decoded; None: it cannot be.
        fault: what must hold and what was found; None: nothing is wrong.
        exif: the camera noted an orientation other than upright.
        other_size: height and width by the other rule of `data.orientation`.
        highest: at 16 bits, the highest value; 0 of other files.
    """

    size: tuple[int, int] | None = None
    fault: tuple[str, str] | None = None
    exif: bool = False
    other_size: tuple[int, int] | None = None
    highest: int = 0


def check_files(
    files: Sequence[Path], sizes: Sequence[tuple[int, int] | None], findings: Findings, rules: ImageRules
) -> list[tuple[int, int]]:
    """Compare image files with what is written of them.

    Args:
        files: one an image.
        sizes: height and width as annotated; None: not said.
        findings: where a missing or damaged file, or one of another size, is noted.
        rules: how they are decoded.

    Returns:
        Height and width of each; (0, 0) where neither the file nor the annotation says them.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        measured = list(pool.map(partial(_measured, rules=rules), files))
    result = []
    for file, said, found in zip(files, sizes, measured, strict=True):
        if found.size is None and found.fault is None:
            findings.refuse("Every annotated image must exist", f"{file}{_similar(file)}")
        elif found.fault:
            findings.refuse(*found.fault)
        elif said is not None and said != found.size:
            findings.refuse("Images must have the size that their annotation says", _mismatch(file, said, found, rules))
        result.append(found.size or said or (0, 0))
    dark = {str(file): found.highest for file, found in zip(files, measured, strict=True) if found.highest}
    if dark and not rules.says_depth and max(dark.values()) < DARK:
        most = max(dark.values())
        findings.refuse(MUST_BE_BRIGHT, f"{next(iter(dark))}: {dark_detail(most)}: {bits_advice(most)}")
    turned = [str(file) for file, found in zip(files, measured, strict=True) if found.exif]
    if turned:
        how = "turned upright, and boxes are taken to lie on the upright image"
        findings.remark(
            f"{counted(len(turned), 'image carries', 'images carry')} an EXIF orientation; "
            f"{how if rules.orientation == 'applied' else 'read as stored'} (data.orientation): {listing(turned[:2])}"
        )
    return result


def _mismatch(file: Path, said: tuple[int, int], found: _Measured, rules: ImageRules) -> str:
    assert found.size is not None
    text = f"{file}: annotated {said[0]}x{said[1]}, is {found.size[0]}x{found.size[1]}"
    if not found.exif or said != found.other_size:
        return text
    other = "ignored" if rules.orientation == "applied" else "applied"
    return f"{text} with its EXIF orientation {rules.orientation}: set data.orientation={other}"


def _measured(file: Path, rules: ImageRules) -> _Measured:
    if not exists(file):
        return _Measured()
    size = None
    try:
        with open_image(file, str(file), rules.max_pixels) as image:
            stored, upright = upright_size(image, "ignored"), upright_size(image, "applied")
            size, other = (upright, stored) if rules.orientation == "applied" else (stored, upright)
            exif = orientation_of(image) != 1
            ordinary = image.format in _ENDS and image.mode in ("RGB", "L", "P") and stored_bits(image) <= 8
            whole = ordinary and page_count(image) == 1 and rules.bands is None and _has_end(file)
            # What can go wrong with other files, only decoding tells.
            highest = 0 if whole else decode_bands(image, str(file), rules)[1].highest
        return _Measured(size, None, exif, other, highest)
    except DataError as error:
        return _Measured(size, (error.must, f"{error.found or file}{f' ({error.do})' if error.do else ''}"))
    except OSError as error:
        return _Measured(size, ("Every image must be readable", f"{file}: {error.strerror}"))


_TAIL = 4096
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
"""What ordinary image files end with, by PIL's name of the format."""


def _has_end(file: Path) -> bool:
    """Tell whether a JPEG or PNG holds its end."""
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - _TAIL))
        end = stream.read()
    return any(mark in end for mark in _ENDS.values())


def _similar(file: Path) -> str:
    """Return a hint to the file that was perhaps meant."""
    try:
        close = nearest(file.name, [entry.name for entry in file.parent.iterdir()])
    except (OSError, ValueError):
        return "" if file.parent.is_dir() else f" (there is no folder {file.parent})"
    return f" (there is {close})" if close else ""


def image_splits(
    train: int, val: int, minival: int, split_seed: int, groups: Sequence[str] | None = None
) -> dict[str, Split]:
    """Divide images into train, val and, where asked for, minival.

    Args:
        train: images to train on.
        val: images to score on.
        minival: how many of `train` are held out; with groups, the fewest.
        split_seed: seed of the choice.
        groups: of each training image, such as its patient; a group is held out whole or not at all.

    Raises:
        DataError: nothing would be left to train on.
    """
    if minival >= max(train, 1):
        raise DataError(
            "data.minival must leave images to train on",
            found=f"data.minival={minival} of {counted(train, 'training image')}",
            do="choose a smaller data.minival",
        )
    names = np.array(groups if groups is not None else [str(row) for row in range(train)])
    order = np.random.default_rng(derive(split_seed, "split")).permutation(np.unique(names))
    held = np.zeros(train, dtype=bool)
    for name in order:
        if int(held.sum()) >= minival:
            break
        held |= names == name
    if minival and held.all():
        raise DataError("data.minival must leave a group to train on",
                        found=f"data.minival={minival} of {train} training images in {len(np.unique(names))} groups",
                        do="choose a smaller data.minival")  # fmt: skip
    splits = {"train": Split("train", np.flatnonzero(~held)), "val": Split("val", np.arange(val, dtype=np.int64))}
    if minival:
        splits["minival"] = Split("train", np.flatnonzero(held))
    return splits
