"""Pascal Context: the images of VOC 2010 with 59 classes (Mottaghi et al. 2014, CVPR).

The masks hold 1 to 59, and 0 for what is none of them: ignored, or a sixtieth class, `background`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ablata.base.errors import DataError
from ablata.data.labels.layout import Sample
from ablata.data.labels.table import LabelTable, default_palette
from ablata.data.segmentation.published import PublishedPairs

_NAMES = """
aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, table, dog, horse, motorbike, person, pottedplant,
sheep, sofa, train, tvmonitor, bag, bed, bench, book, building, cabinet, ceiling, cloth, computer, cup, door, fence,
floor, flower, food, grass, ground, keyboard, light, mountain, mouse, curtain, platform, sign, plate, road, rock,
shelves, sidewalk, sky, snow, bedclothes, track, tree, truck, wall, water, window, wood
"""
NAMES = tuple(name.strip() for name in _NAMES.replace("\n", " ").split(","))
TABLES = {
    "ignore": LabelTable("ids", NAMES, tuple(range(1, 60)), (0,), default_palette(59)),
    "class": LabelTable("ids", ("background", *NAMES), tuple(range(60)), (), default_palette(60)),
}
"""Raw values to classes, by what becomes of the background."""
_LISTS = "ImageSets/SegmentationContext"


class PascalContext(PublishedPairs):
    """Pascal Context with 59 classes, or 60 with the background."""

    kind: Literal["pascal_context"] = "pascal_context"
    background: Literal["ignore", "class"] = "ignore"
    """Whether pixels of none of the 59 classes are ignored, or a class of their own."""

    def table(self) -> LabelTable:
        """Return what the raw values are."""
        return TABLES[self.background]

    def layout(self) -> str:
        """Return the layout in words."""
        return f"JPEGImages, SegmentationClassContext, and {_LISTS}/train.txt and val.txt (VOC2010)"

    def fits(self, root: Path) -> bool:
        """Tell whether a folder has the set's own lists, or the folders of openseg."""
        return (root / _LISTS).is_dir() or super().fits(root)

    def listed(self, root: Path) -> list[Sample]:
        """List the files by the set's own lists, or by folders where there are none.

        Raises:
            DataError: a list cannot be read.
        """
        if not (root / _LISTS).is_dir():
            return super().listed(root)
        samples = []
        for split in ("train", "val"):
            for name in _names(root / _LISTS / f"{split}.txt"):
                image = root / "JPEGImages" / f"{name}.jpg"
                label = root / "SegmentationClassContext" / f"{name}.png"
                samples.append(Sample(split, "", name, image, label if label.is_file() else None))
        return samples


def _names(file: Path) -> list[str]:
    try:
        return sorted(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "The list of a split must be a text file",
            found=f"{file}: {error}",
            do="bring back the file as it was downloaded",
        ) from None
