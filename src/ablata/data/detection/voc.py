"""Pascal VOC format: boxes in XML (Everingham et al. 2010): one file an image, lists of names for the sources.

Coordinates count pixels from 1 and include the last one, so that a box is `xmin - 1, ymin - 1, xmax, ymax` here. A box
that is written with equal or crossed borders has no area. `difficult` objects are ignored: in training they are neither
positive nor negative, and in scores neither missed nor wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing
from ablata.base.settings import INCIDENTAL
from ablata.data.detection.box_forms import CORNERS, note_misread, refuse_misread
from ablata.data.detection.checked_objects import checked_objects
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.files import (
    AnnotatedFiles,
    DetectionFileSettings,
    FileImages,
    check_files,
    image_file,
)
from ablata.data.detection.image_ids import lie_below
from ablata.data.detection.layouts import find_set, voc_classes, voc_lists, voc_settings
from ablata.data.detection.problems import Findings
from ablata.data.detection.voc_xml import (
    VocFile,
    VocObject,
    decode_text,
    read_annotation,
    remark_other_images,
)
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import exists
from ablata.data.loading.splits import SOURCES

_LISTS = "ImageSets/Main"


class Voc(DetectionFileSettings):
    """Pascal VOC detection: images with boxes in Pascal VOC's folders."""

    kind: Literal["voc"] = "voc"
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
        "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    )  # fmt: skip
    """Names of the classes; VOC's folders do not list them."""
    train_list: str = "train"
    """Which list of ImageSets/Main to train on."""
    val_list: str = "val"
    """Which to score on."""
    test_list: Annotated[str, INCIDENTAL] = "test"
    """Which is the test split, where it is there."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return voc_lists(folder) is not None and not BloodCells.recognizes(folder)

    @classmethod
    def layout_settings(cls, folder: Path) -> list[str]:
        """Return what reads a folder that has it; see `Settings.layout_settings`."""
        return voc_settings(folder, cls.model_fields["classes"].default)

    def class_count(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    def has_masks(self) -> bool:
        """Tell that there are boxes alone."""
        return False

    def home(self) -> str | None:
        """Return the folder's name among the data sets; None: it has none."""
        return None

    def lists(self) -> tuple[str, str]:
        """Return the files that list the images to train and to score on, below the root."""
        return f"{_LISTS}/{self.train_list}.txt", f"{_LISTS}/{self.val_list}.txt"

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        lists = self.lists()
        return find_set(
            self.root,
            default=self.home(),
            fits=lambda folder: all((folder / path).is_file() for path in lists) and (folder / "Annotations").is_dir(),
            layout=f"{lists[0]}, {lists[1]}, Annotations/NAME.xml and JPEGImages/NAME.jpg",
            cache=cache,
        )

    def image_ids(self, files: Sequence[Path]) -> list[int | str] | None:
        """Return the names of image files that all lie in the set's folder of images."""
        root = Path(self.root).expanduser() if self.root else None
        within = root is not None and any(lie_below(root / folder, files) for folder in ("JPEGImages",))
        return [file.stem for file in files] if within else None

    def read(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations; see `DetectionFileSettings.read`."""
        return _read(self, cache)


class BloodCells(Voc):
    """364 images of blood with boxes around cells of three kinds, most of them red."""

    kind: Literal["blood_cells"] = "blood_cells"  # type: ignore[assignment]
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = ("Platelets", "RBC", "WBC")
    """Names of the classes; VOC's folders do not list them."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has VOC's layout and these classes alone."""
        usual = cls.model_fields["classes"].default
        return voc_lists(folder) is not None and all(name in usual for name in voc_classes(folder))

    def image_size(self) -> tuple[int, int]:
        """Return the height and width that complexity is counted for: all images are 640 x 480."""
        own = self.augment.min_size is None and self.augment.scale_jitter is None
        return (480, 640) if own else super().image_size()

    def home(self) -> str | None:
        """Return the folder's name among the data sets."""
        return "blood_cells"


def _read(settings: Voc, cache: Path) -> AnnotatedFiles:
    lists, root = settings.lists(), settings.locate(cache)
    findings = Findings(settings.on_invalid)
    names = [_listed(root / path, findings) for path in lists]
    both = sorted(set(names[0]) & set(names[1]))
    if both:
        findings.refuse(
            "An image must not be in both the training and the validation split", f"{listing(both[:4])} in both lists"
        )
    first = 0
    sources, notes = [], [root / path for path in lists]
    for listed in names:
        source = _source(root, listed, settings, first, findings)
        first += sum(len(entry.objects) for entry in source.entries)
        sources.append(source)
        notes += [root / "Annotations" / f"{name}.xml" for name in listed]
    tested = root / _LISTS / f"{settings.test_list}.txt"
    held = _listed(tested, Findings("repair")) if tested.is_file() else []
    return AnnotatedFiles(
        root=root,
        classes=settings.classes,
        sources=dict(zip(SOURCES, sources, strict=True)),
        annotations=notes,
        findings=findings,
        test=partial(_test, settings, root) if tested.is_file() else None,
        known=[root / "JPEGImages" / f"{name}.jpg" for name in held],
        test_hint=f"set data.test_list=NAME, a list in {_LISTS}; {settings.test_list}.txt is not there",
    )


def _test(settings: Voc, root: Path) -> tuple[FileImages, Findings]:
    findings = Findings(settings.on_invalid)
    names = _listed(root / _LISTS / f"{settings.test_list}.txt", findings)
    return _source(root, names, settings, 0, findings), findings


def _listed(path: Path, findings: Findings) -> list[str]:
    """Return the names in a list, each once; a list of one class has 1, 0 or -1 behind each."""
    lines = decode_text(path.read_bytes(), str(path)).splitlines()
    names = [_FLAG.sub("", line).strip() for line in lines if line.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        must, done = "Images must be listed once", "images that are listed twice taken once"
        findings.repairable(must, done, f"{path}: {listing(twice[:4])}")
    return list(dict.fromkeys(names))


def _source(root: Path, names: Sequence[str], settings: Voc, first: int, findings: Findings) -> FileImages:
    classes, rules = settings.classes, settings.image_rules()
    kept, trees = [], []
    for name in names:
        note = image_file(root / "Annotations", f"{name}.xml", _LISTS, findings)
        if not exists(note):
            findings.refuse("Every listed image must have an annotation file", f"no file {note}")
            continue
        try:
            trees.append(read_annotation(note))
            kept.append(name)
        except DataError as error:
            findings.refuse(error.must, error.found or str(note))
    files = [_image(root / "JPEGImages", name, tree) for name, tree in zip(kept, trees, strict=True)]
    sizes = check_files(files, [tree.size(findings) for tree in trees], findings, rules)
    remark_other_images(zip(trees, files, strict=True), findings)
    objects = [tree.objects(classes, findings) for tree in trees]
    misread = _misread(objects, sizes, findings)
    entries = []
    for name, tree, size, mine in zip(kept, trees, sizes, objects, strict=True):
        standing = [one for one in mine if one not in misread] if size != (0, 0) else []
        boxes = np.array([one.half_open for one in standing], dtype=np.float64)
        labels, crowd = [one.label for one in standing], [one.difficult for one in standing]
        ids = list(range(first, first + len(standing)))
        named = [one.where for one in standing]
        found = checked_objects(tree.where, size, boxes, labels, None, ids, crowd, findings, named)
        first += len(found)
        entries.append(AnnotatedImage(tree.where, size, found, name))
    return FileImages(entries, files, rules)


def _misread(
    objects: Sequence[Sequence[VocObject]], sizes: Sequence[tuple[int, int]], findings: Findings
) -> set[VocObject]:
    """Refuse objects whose boxes are written in another form; return them."""
    pairs = [(one, size) for mine, size in zip(objects, sizes, strict=True) for one in mine if size != (0, 0)]
    boxes = np.array([one.borders for one, _ in pairs], dtype=np.float64).reshape(-1, 4)
    shapes = np.array([size for _, size in pairs], dtype=np.float64).reshape(-1, 2)
    where, maskless = f"{pairs[0][0].where}" if pairs else "", np.full_like(boxes, np.nan)
    if refuse_misread(boxes, CORNERS, shapes, maskless, where, findings):
        return {one for one, _ in pairs}
    names = [one.where for one, _ in pairs]
    return {pairs[row][0] for row in note_misread(boxes, CORNERS, shapes, maskless, names, findings)}


def _image(folder: Path, name: str, tree: VocFile) -> Path:
    """Return the file of an image: a JPEG, as VOC has it, or what is there of that name in another format."""
    usual = folder / f"{name}.jpg"
    if exists(usual):
        return usual
    suffixes = [Path(tree.file_name).suffix, *sorted(IMAGE_SUFFIXES)]
    candidates = [folder / f"{name}{form}" for suffix in suffixes if suffix for form in (suffix, suffix.upper())]
    return next((file for file in candidates if exists(file)), usual)


_FLAG = re.compile(r"\s+-?[01]\s*$")
