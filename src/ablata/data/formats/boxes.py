"""Boxes, perhaps with masks, in any annotation tool's format: `data=boxes data.root=FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError
from ablata.data.detection.files import AnnotatedFiles, DetectionFileSettings, FileImages
from ablata.data.detection.image_ids import lie_below
from ablata.data.detection.problems import Findings
from ablata.data.formats.all import FORMATS, FormatName, format_of
from ablata.data.formats.description import Reading
from ablata.data.formats.places import relative
from ablata.data.formats.reading import ReadImage, ReadSet
from ablata.data.labels.splitting import Divided, SplitRule, divided
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import SOURCES, Source

_USUAL_CLASSES = 80
"""For how many classes complexity is counted where the settings do not name them: those of COCO."""


class BoxSet(SplitRule, DetectionFileSettings):
    """Boxes, and masks where there are any, in an annotation tool's format, such as YOLO's, labelme's or CVAT's."""

    kind: Literal["boxes"] = "boxes"
    format: FormatName | None = None
    """Which tool's format the folder has; null: recognized by its files."""
    classes: tuple[str, ...] = ()
    """Names of the classes; a label is a position in them; empty: those that the set lists, else those that occur."""

    def class_count(self) -> int:
        """Return for how many classes complexity is counted."""
        return len(self.classes) or _USUAL_CLASSES

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        formats = [one for one in FORMATS if self.format in (None, one.name)]
        return find_root(
            self.root,
            default=None,
            fits=formats[0].fits if self.format else lambda folder: format_of(folder) is not None,
            layout=", or ".join(one.words for one in formats),
            cache=cache,
        )

    def read(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations; see `DetectionFileSettings.read`."""
        return self._read(cache, keep_written=False)

    def read_written(self, cache: Path) -> AnnotatedFiles:
        """Read the annotations, keeping boxes and polygons; see `DetectionFileSettings.read_written`."""
        return self._read(cache, keep_written=True)

    def _read(self, cache: Path, keep_written: bool) -> AnnotatedFiles:
        root = self.locate(cache)
        chosen = next(one for one in FORMATS if one.name == self.format) if self.format else format_of(root)
        assert chosen is not None
        reading = Reading(self.image_rules(), self.classes, self.on_invalid, keep_written)
        found = chosen.read(root, reading)
        if not found.images:
            reading.findings.notices()  # an unreadable file of annotations may be why
            raise DataError("A data set must have images", found=f"{root}: no image below it",
                            do="name the folder that holds images and annotations")  # fmt: skip
        return self._files(root, found, reading)

    def image_ids(self, files: Sequence[Path]) -> list[int | str] | None:
        """Return the names of image files that all lie below the root."""
        root = Path(self.root).expanduser() if self.root else None
        return [file.stem for file in files] if root is not None and lie_below(root, files) else None

    def _files(self, root: Path, found: ReadSet, reading: Reading) -> AnnotatedFiles:
        images, names = found.images, [relative(image.file, root) for image in found.images]
        holds = np.zeros((len(images), len(found.classes)), dtype=bool)
        for row, image in enumerate(images):
            objects = image.entry.objects
            holds[row, objects.labels[~objects.crowd].numpy()] = True
        said = [image.split for image in images]
        try:
            parts = divided(self, names, said, holds, self.split_seed, root)
        except DataError as error:  # one fault among others that a check lists
            do = f" ({error.do})" if error.do else ""
            reading.findings.refuse(error.must, f"{error.found}{do}")
            parts = Divided([split or "train" for split in said])
        for notice in parts.notices:
            reading.findings.remark(notice)
        by_split = {
            split: [image for image, own in zip(images, parts.splits, strict=True) if own == split]
            for split in ("train", "val", "test")
        }

        def source(split: Source) -> FileImages:
            chosen: Sequence[ReadImage] = by_split[split]
            return FileImages([one.entry for one in chosen], [one.file for one in chosen], reading.rules)

        def test() -> tuple[FileImages, Findings]:
            return source("test"), reading.test_findings

        trained = [relative(image.file, root) for image in by_split["train"]]
        return AnnotatedFiles(
            root=root,
            classes=found.classes,
            sources={split: source(split) for split in SOURCES},
            annotations=found.annotations,
            findings=reading.findings,
            category_ids=found.category_ids,
            groups=self.groups(trained, root) if self.has_groups else None,
            maskless=found.maskless,
            test=test if by_split["test"] else None,
            known=[image.file for image in images],
            test_hint="name some of the images as its test split, in a folder or a list test",
        )
