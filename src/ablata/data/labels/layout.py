"""Finding the images and label files of a folder: which belong together, in which split and source folder.

Understood are IMAGES/SPLIT with LABELS/SPLIT, SPLIT/IMAGES with SPLIT/LABELS, SPLIT with SPLITannot, masks beside their
images (`images=.`, `labels=.` and a suffix), and IMAGES with LABELS alone, which lists of names may split
(ImageSets/Segmentation/train.txt, as VOC and CVAT have them); what lies further down is a source folder. IMAGES and
LABELS are folders of usual names, or of the names that are given.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.masks import ARRAY
from ablata.data.io.walk import files_under
from ablata.data.labels.split_lists import read_split_lists, split_name
from ablata.data.loading.locate import find_root

IMAGES = ("images", "image", "imgs", "img", "JPEGImages", "jpg")
LABELS = ("labels", "label", "masks", "mask", "annotations", "annotation", "gt", "stuffthingmaps", "SegmentationClass",
          "SegmentationClassContext")  # fmt: skip
LAYOUT = "images (or images/train and images/val) with labels (or masks) of the same names beside them"
_SPLITS = ("train", "val", "test")
_LABEL_SUFFIXES = IMAGE_SUFFIXES | {".gif", ARRAY}


@dataclass(frozen=True)
class Sample:
    """An image and its label file.

    Attributes:
        split: train, val, test, or nothing where the folder is not split.
        folder: source folder: where the file lies below its split's folder; nothing at the top.
        name: the path below the split's folder without its suffix.
        image: the image, or None.
        label: its label file, or None.
    """

    split: str
    folder: str
    name: str
    image: Path | None
    label: Path | None


@dataclass(frozen=True)
class LabeledFolder:
    """The files of a folder.

    Attributes:
        root: the folder.
        samples: by split, then name.
        strays: files that are no images.
        twins: files of one name and different suffixes, of which the first counts.
        left_out: images and label files that are in no split.
        recased: pairs whose names differ in capitals or in how accents are written.
        lists: what lists of a split say and the files do not, a sentence each.
    """

    root: Path
    samples: tuple[Sample, ...]
    strays: tuple[Path, ...] = ()
    twins: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()
    recased: tuple[Sample, ...] = ()
    lists: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits there are, train first; one empty name where the folder is not split."""
        return tuple(dict.fromkeys(sample.split for sample in self.samples))

    def notices(self) -> tuple[str, ...]:
        """Say what does not count, and what was matched though it is written otherwise."""
        told = []
        for files, what in (
            (self.strays, "no images, and ignored"),
            (self.twins, "second files of a name, and ignored"),
            (self.left_out, "in no split, and left out"),
        ):
            if files:
                told.append(f"{what}: {self.named(files)}")
        if self.recased:
            pairs = counted(len(self.recased), "pair")
            told.append(f"{pairs} of image and mask with names that differ in capitals or accents")
        return (*told, *self.lists)

    def named(self, files: Sequence[Path]) -> str:
        """Name the folders in which files lie, with how many there are and the first."""
        folders: dict[str, list[str]] = {}
        for file in files:
            folders.setdefault(file.parent.relative_to(self.root).as_posix(), []).append(file.name)
        more = f" and {len(folders) - _FEW} more folders" if len(folders) > _FEW else ""
        shown = [f"{len(names)} in {folder} ({listing(names[:2])}{', ...' if len(names) > 2 else ''})"
                 for folder, names in list(folders.items())[:_FEW]]  # fmt: skip
        return listing(shown) + more


_FEW = 6


@dataclass(frozen=True)
class FolderNames:
    """What is called how.

    Attributes:
        images: the folders of images; None: the usual names.
        labels: the folders of label files; None: the usual names.
        mask_suffix: what stands behind an image's name in that of its label file, in any case: `_mask` for
            NAME_mask.png, `.jpg` for NAME.jpg.png.
        image_suffix: what stands behind the common name in that of the image: `_sat` for NAME_sat.jpg.
    """

    images: str | None = None
    labels: str | None = None
    mask_suffix: str = ""
    image_suffix: str = ""


USUAL = FolderNames()


def find_labeled_folder(root: str, names: FolderNames, cache: Path) -> LabeledFolder:
    """List the images and label files of a folder.

    Args:
        root: the folder, a zip of it, or its name under ABLATA_DATA.
        names: what the folders inside are called.
        cache: where zips are unpacked.

    Raises:
        DataError: there is no such folder, it has not the layout, or it is empty.
    """
    layout = LAYOUT
    if names.labels or names.images:
        layout = f"{names.images or 'images'} with {names.labels or 'labels'} of the same names beside it"
    place = find_root(root, default=None, fits=lambda folder: is_labelled(folder, names), layout=layout, cache=cache)
    found = list_labelled(place, names)
    if not any(sample.label for sample in found.samples):
        suffixes = listing(sorted(_LABEL_SUFFIXES))
        behind = f" whose names end in {names.mask_suffix}" if names.mask_suffix else ""
        raise DataError(
            "A data set for segmentation must have label files",
            found=f"{place}: no file with the suffix {suffixes}{behind}",
            do="put a label file (a mask) of the same name beside each image; see docs/tutorials/own_images.md",
        )
    return found


def list_labelled(root: Path, names: FolderNames = USUAL) -> LabeledFolder:
    """List the images and label files of a folder that has the layout."""
    samples: list[Sample] = []
    strays: list[Path] = []
    twins: list[Path] = []
    left_out: list[Path] = []
    recased: list[Sample] = []
    places = _places(root, names)
    for split, images, labels in places:
        found = _Named(images, IMAGE_SUFFIXES, names.image_suffix)
        masks = _Named(labels, _LABEL_SUFFIXES, names.mask_suffix)
        if images == labels and names.mask_suffix:
            own = set(masks.files.values())
            found.files = {name: file for name, file in found.files.items() if file not in own}
        known = _matched(found.files, masks.files)
        for name in sorted(found.files.keys() | known.keys()):
            folder = name.rpartition("/")[0]
            mask = known.get(name)
            samples.append(Sample(split, folder, name, found.files.get(name), mask))
            if mask is not None and name in found.files and name not in masks.files:
                recased.append(samples[-1])
        strays += found.strays + masks.strays
        twins += found.twins + masks.twins
        # Images and label files may lie in one folder.
        left_out += sorted({*found.unnamed, *masks.unnamed} - {*found.files.values(), *masks.files.values()})
    told: tuple[str, ...] = ()
    if [split for split, _, _ in places] == [""]:
        samples, unlisted, told = _by_lists(root, samples)
        left_out += unlisted
    else:
        left_out += _beside(root, names, places)
    return LabeledFolder(
        root, tuple(samples), tuple(strays), tuple(twins), tuple(left_out), tuple(recased), told
    )  # fmt: skip


@dataclass(frozen=True)
class ProposedSuffixes:
    """What stands behind the common names of images and label files, where files of neither kind have a partner.

    Attributes:
        mask: behind those of label files, such as `_mask` or `.jpg`; empty: nothing was found.
        image: behind those of images, such as `_sat`.
        pairs: the samples that they make pairs of: the image's, and the label file's.
    """

    mask: str = ""
    image: str = ""
    pairs: tuple[tuple[Sample, Sample], ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        """Return the settings that say so; nothing where nothing was found."""
        told = {"data.image_suffix": self.image, "data.mask_suffix": self.mask}
        return tuple(f"{key}={suffix}" for key, suffix in told.items() if suffix)


def propose_suffixes(labelled: LabeledFolder) -> ProposedSuffixes:
    """Find what stands behind the names of images and label files that have no partner."""
    images = {(sample.split, sample.name.casefold()): sample for sample in labelled.samples if sample.label is None}
    labels = [sample for sample in labelled.samples if sample.image is None]
    ways: dict[str, list[tuple[Sample, Sample]]] = {}
    for label in labels if images else ():
        for end in range(len(label.name) - 1, 0, -1):
            partner = images.get((label.split, label.name[:end].casefold()))
            if partner is not None and "/" not in label.name[end:]:
                ways.setdefault(label.name[end:], []).append((partner, label))
                break
    if ways:
        best = max(ways, key=lambda suffix: len(ways[suffix]))
        return ProposedSuffixes(best, "", tuple(ways[best]))
    return _both_suffixes(list(images.values()), labels)


def _both_suffixes(images: Sequence[Sample], labels: Sequence[Sample]) -> ProposedSuffixes:
    """Find endings that all images and all label files without a partner have: NAME_sat.jpg and NAME_mask.png."""
    image, mask = (_common_ending([file.name for file in some]) for some in (images, labels))
    stems = {(file.split, file.name[: len(file.name) - len(image)].casefold()): file for file in images}
    candidates = [
        (stems.get((label.split, label.name[: len(label.name) - len(mask)].casefold())), label) for label in labels
    ]
    pairs = tuple((partner, label) for partner, label in candidates if partner is not None)
    enough = len(pairs) > 1 and 2 * len(pairs) >= min(len(images), len(labels))
    return ProposedSuffixes(mask, image, pairs) if image and mask and enough else ProposedSuffixes()


def _common_ending(names: Sequence[str]) -> str:
    """Return the ending that all names share, whatever its capitals, from a mark such as `_` on."""
    letters = zip(*(reversed(name.casefold()) for name in names), strict=False)
    length = sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, letters))
    ending = names[0][len(names[0]) - length :] if names and length else ""
    marked = re.search(r"[^\w/]|_", ending)
    return ending[marked.start() :] if marked else ""


def is_labelled(folder: Path, names: FolderNames = USUAL) -> bool:
    """Tell whether a folder has the layout."""
    return bool(_places(folder, names))


def layout_splits(folder: Path, names: FolderNames = USUAL) -> set[str]:
    """Return the splits of a folder that has the layout, without listing its files."""
    return {split for split, _, _ in _places(folder, names)}


class _Named:
    """The image files under a folder by name without suffix, and the others.

    Args:
        folder: walked through, links included.
        suffixes: of image files.
        behind: what must stand behind the names, and is taken away.
    """

    def __init__(self, folder: Path, suffixes: Collection[str], behind: str = "") -> None:
        self.files: dict[str, Path] = {}
        self.strays: list[Path] = []
        self.twins: list[Path] = []
        self.unnamed: list[Path] = []
        for file in files_under(folder):
            name = file.relative_to(folder).with_suffix("").as_posix()
            if file.suffix.lower() not in suffixes:
                self.strays.append(file)
                continue
            if not name.casefold().endswith(behind.casefold()) or len(name) == len(behind):
                self.unnamed.append(file)
                continue
            name = name[: len(name) - len(behind)]
            if name in self.files:
                self.twins.append(file)
            else:
                self.files[name] = file


def _matched(images: Mapping[str, Path], masks: Mapping[str, Path]) -> dict[str, Path]:
    """Return the masks by the names of their images: of the same name, else one that is `_alike`."""
    found = {name: file for name, file in masks.items() if name in images}
    alone: dict[str, list[str]] = {}
    for name in images:
        if name not in found:
            alone.setdefault(_alike(name), []).append(name)
    wanted = Counter(_alike(name) for name in masks if name not in found)
    for name, file in masks.items():
        if name in found:
            continue
        close = alone.get(_alike(name), [])
        unique = len(close) == 1 and wanted[_alike(name)] == 1
        found[close[0] if unique else name] = file
    return found


def _alike(name: str) -> str:
    """Return what names have in common that differ in capitals, or in how an accent is written: as one sign or as two
    (macOS)."""
    return unicodedata.normalize("NFC", name).casefold()


def _places(root: Path, names: FolderNames) -> list[tuple[str, Path, Path]]:
    """Return split, folder of images and folder of label files, train first; nothing where the layout is another."""
    pair = _pair(root, names)
    if pair:
        splits = sorted({*_split_folders(pair[0]), *_split_folders(pair[1])}, key=_rank)
        if {split_name(split) for split in splits} <= {"test"} and _has_others(pair, splits):
            # One of several source folders that happens to be called test.
            return [("", *pair)]
        below = [(split_name(split), pair[0] / split, pair[1] / split) for split in splits]
        return below or [("", *pair)]
    splits = sorted(_split_folders(root), key=_rank)
    inside = [(split_name(split), *found) for split in splits if (found := _pair(root / split, names))]
    # CamVid's folders, as SegNet and CVAT write them.
    return inside or [
        (split_name(split), root / split, root / f"{split}annot")
        for split in [*splits, "default"]
        if (root / f"{split}annot").is_dir() and (root / split).is_dir()
    ]


def masks_beside(root: Path) -> bool:
    """Tell whether masks lie beside their images, as Roboflow writes them: NAME.jpg with NAME_mask.png."""
    for folder in (root, *(root / split for split in _split_folders(root))):
        stems = {file.stem for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES}
        if any(stem.endswith(BESIDE) and stem.removesuffix(BESIDE) in stems for stem in stems):
            return True
    return False


BESIDE = "_mask"
"""What stands behind the names of masks that lie beside their images."""


def _has_others(pair: tuple[Path, Path], splits: Collection[str]) -> bool:
    return any(
        file.relative_to(pair[0]).parts[0] not in splits
        for file in files_under(pair[0])
        if file.suffix.lower() in IMAGE_SUFFIXES
    )


def _beside(root: Path, names: FolderNames, places: Sequence[tuple[str, Path, Path]]) -> list[Path]:
    """Return the images and label files that lie beside the folders of the splits."""
    taken = {folder for _, *both in places for folder in both}
    pair = _pair(root, names)
    pairs = [pair] if pair else [_pair(entry, names) for entry in sorted(root.iterdir()) if entry.is_dir()]
    around = [entry for found in pairs for folder in found or () if folder not in taken for entry in folder.iterdir()]
    files = [file for entry in sorted(around) if entry not in taken and entry.name[0] != "."
             for file in (files_under(entry) if entry.is_dir() else [entry])]  # fmt: skip
    return [file for file in files if file.suffix.lower() in _LABEL_SUFFIXES]


def _by_lists(root: Path, samples: list[Sample]) -> tuple[list[Sample], list[Path], tuple[str, ...]]:
    """Divide samples as lists of names say, where there are some.

    Returns:
        The samples with their splits; files that no list names; what lists say and the files do not.
    """
    lists = read_split_lists(root)
    whole = {unicodedata.normalize("NFC", sample.name): sample for sample in samples}
    bare: dict[str, list[Sample]] = {}
    for name, sample in whole.items():
        bare.setdefault(name.rpartition("/")[2], []).append(sample)
    divided: list[Sample] = []
    told: list[str] = []
    seen: dict[str, str] = {}
    for split in sorted(lists, key=_SPLITS.index):
        file, listed = lists[split]
        names = [unicodedata.normalize("NFC", name) for name in listed]
        alike = [(name, whole.get(name) or _only(bare.get(name.rpartition("/")[2], []))) for name in names]
        here = {sample.name: sample for _, sample in alike if sample is not None}
        divided += [replace(here[name], split=split) for name in sorted(here)]
        where = file.relative_to(root).as_posix()
        if absent := [name for name, sample in alike if sample is None]:
            told.append(f"{where} names {len(absent)} that are not there: {listing(absent[:_FEW])}")
        if twice := sorted(name for name in here if name in seen):
            told.append(f"{where} names {len(twice)} that {seen[twice[0]]} names too: {listing(twice[:_FEW])}")
        seen |= dict.fromkeys(here, where)
    if not divided:
        return samples, [], tuple(told)
    rest = [sample for sample in samples if sample.name not in seen]
    return divided, [file for sample in rest for file in (sample.image, sample.label) if file is not None], tuple(told)


def _only(found: list[Sample]) -> Sample | None:
    return found[0] if len(found) == 1 else None


def _pair(folder: Path, names: FolderNames) -> tuple[Path, Path] | None:
    """Return the folders of images and of label files; of several usual names the first that holds some."""
    images = _folder_of(folder, (names.images,) if names.images else IMAGES, IMAGE_SUFFIXES)
    labels = _folder_of(folder, (names.labels,) if names.labels else LABELS, _LABEL_SUFFIXES)
    return (images, labels) if images and labels else None


def _folder_of(folder: Path, names: Iterable[str], suffixes: Collection[str]) -> Path | None:
    there = [folder / name for name in names if (folder / name).is_dir()]
    if len(there) < 2:
        return there[0] if there else None
    held = (place for place in there if any(file.suffix.lower() in suffixes for file in files_under(place)))
    return next(held, there[0])


def _split_folders(folder: Path) -> list[str]:
    return (
        [entry.name for entry in folder.iterdir() if entry.is_dir() and split_name(entry.name)]
        if folder.is_dir()
        else []
    )


def _rank(folder: str) -> tuple[int, str]:
    return _SPLITS.index(split_name(folder)), folder
