"""Penn-Fudan pedestrians (Wang et al. 2007): 170 images of streets with a mask for each of 423 persons.

The set has no split of its own: which images are scored on is drawn by `split_seed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.data.detection.checked_objects import checked_objects
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.files import AnnotatedFiles, DetectionFileSettings, FileImages, check_files
from ablata.data.detection.image_ids import lie_below
from ablata.data.detection.layouts import IMAGES, MASKS, find_set, has_instance_masks, penn_fudan_settings
from ablata.data.detection.number_masks import NumberMasks
from ablata.data.detection.problems import Findings
from ablata.data.detection.rle import encode, tight_box
from ablata.data.io.decode import ImageRules
from ablata.data.io.masks import MaskError, load_mask, open_mask
from ablata.data.loading.splits import SOURCES
from ablata.structures.detection import no_objects


class PennFudan(DetectionFileSettings):
    """170 images of streets with 423 pedestrians."""

    kind: Literal["penn_fudan"] = "penn_fudan"
    val: Annotated[int, Field(ge=1)] = 50
    """Images to score on."""

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return has_instance_masks(folder)

    @classmethod
    def layout_settings(cls, folder: Path) -> list[str]:
        """Return a smaller validation set where the usual one would leave nothing to train on."""
        return penn_fudan_settings(folder, cls.model_fields["val"].default)

    def class_count(self) -> int:
        """Return 1."""
        return 1

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        return find_set(
            self.root,
            default="penn_fudan",
            fits=has_instance_masks,
            layout="PNGImages/NAME.png (or PNGImages_jpg/NAME.jpg) and PedMasks/NAME_mask.png",
            cache=cache,
        )

    def image_ids(self, files: Sequence[Path]) -> list[int | str] | None:
        """Return the names of image files that all lie in the set's folder of images."""
        root = Path(self.root).expanduser() if self.root else None
        within = root is not None and any(lie_below(root / folder, files) for folder in IMAGES)
        return [file.stem for file in files] if within else None

    def read(self, cache: Path) -> AnnotatedFiles:
        """Read the masks; see `DetectionFileSettings.read`.

        Raises:
            DataError: no image would be left to train on.
        """
        root = self.locate(cache)
        folder = next(root / name for name in IMAGES if (root / name).is_dir())
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not self.val < len(files):
            raise DataError(
                "data.val must leave images to train on",
                found=f"data.val={self.val} of {len(files)} images",
                do=f"choose data.val below {len(files)}",
            )
        findings, rules = Findings(self.on_invalid), self.image_rules()
        notes = [root / MASKS / f"{file.stem}_mask.png" for file in files]
        sizes = check_files(files, [None] * len(files), findings, rules)
        entries, first, seen = [], 0, NumberMasks(root)
        for note, size in zip(notes, sizes, strict=True):
            entries.append(_entry(note, size, first, findings, rules, seen))
            first += len(entries[-1].objects)
        seen.note(findings)
        order = np.random.default_rng(derive(self.split_seed, "split", 1)).permutation(len(files))
        parts = (np.sort(order[self.val :]), np.sort(order[: self.val]))
        sources = [FileImages([entries[row] for row in part], [files[row] for row in part], rules) for part in parts]
        return AnnotatedFiles(
            root=root,
            classes=("pedestrian",),
            sources=dict(zip(SOURCES, sources, strict=True)),
            annotations=notes,
            findings=findings,
        )


def _entry(
    note: Path, size: tuple[int, int], first: int, findings: Findings, rules: ImageRules, seen: NumberMasks
) -> AnnotatedImage:
    """Read an image's mask, in which each person has a number from 1 on."""
    name = note.stem.removesuffix("_mask")
    nothing = AnnotatedImage(note.name, size, no_objects(masks=True), name)
    if not note.is_file():
        findings.refuse("Every image must have its mask", f"no file {note}")
        return nothing
    try:
        numbers = np.asarray(load_mask(open_mask(note, max_pixels=rules.max_pixels), note, rules))
    except MaskError as error:
        findings.refuse(error.must, error.found or str(note))
        return nothing
    if numbers.dtype == bool:
        numbers = numbers.astype(np.uint8)
    if numbers.ndim != 2 or not np.issubdtype(numbers.dtype, np.integer):
        findings.refuse(
            "Every mask must be an image with one whole number for each pixel",
            f"{note.name}: {numbers.dtype} {numbers.shape}",
        )
        return nothing
    if numbers.shape != size:
        findings.refuse(
            "Every mask must have the size of its image", f"{note.name}: {numbers.shape} for an image of {size}"
        )
        return nothing
    present = [number for number in np.unique(numbers) if number]
    masks = numbers[None] == np.array(present, dtype=numbers.dtype)[:, None, None]
    boxes = np.array([tight_box(mask) for mask in masks], dtype=np.float64)
    fills = (
        masks.sum((1, 2)) / np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1) if present else []
    )
    seen.add(note.name, numbers, list(fills), findings)
    ids = list(range(first, first + len(present)))
    labels, crowd = [0] * len(present), [False] * len(present)
    objects = checked_objects(note.name, size, boxes, labels, encode(masks), ids, crowd, findings)
    return AnnotatedImage(note.name, size, objects, name)
