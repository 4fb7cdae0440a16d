"""Description of a set as an annotation tool wrote it: the one form that every reader of a format gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ablata.data.detection.box_forms import XYWH
from ablata.data.detection.problems import Findings, OnInvalid
from ablata.data.io.decode import RULES, ImageRules

Polygon = tuple[float, ...]
"""x, y, x, y, ..."""


@dataclass(frozen=True)
class Bitmap:
    """A mask of a part of an image.

    Attributes:
        left: column of its first pixel.
        top: row of its first pixel.
        pixels: bool [h, w].
    """

    left: int
    top: int
    pixels: np.ndarray


@dataclass(frozen=True)
class Shape:
    """An object as it was drawn: a box, polygons, or pixels.

    Attributes:
        where: file and entry, for messages.
        label: its class.
        box: four numbers in the form that the description names; None: there is none beside the mask.
        polygons: outlines, joined.
        holes: outlines of what is cut out of them.
        bitmap: its pixels; None: there are polygons, or a box alone.
        crowd: ignored in training and scores.
    """

    where: str
    label: str
    box: tuple[float, ...] | None = None
    polygons: tuple[Polygon, ...] = ()
    holes: tuple[Polygon, ...] = ()
    bitmap: Bitmap | None = None
    crowd: bool = False


@dataclass(frozen=True)
class DescribedImage:
    """An image with what was drawn on it.

    Attributes:
        file: the image's.
        where: what messages call it.
        shapes: in the order of drawing.
        split: train, val or test; empty: the set does not say.
        size: height and width as annotated; None: not said.
        id: the set's number or name of it.
    """

    file: Path
    where: str
    shapes: Sequence[Shape] = ()
    split: str = ""
    size: tuple[int, int] | None = None
    id: int | str | None = None


@dataclass(frozen=True)
class Described:
    """A set.

    Attributes:
        images: all of them.
        classes: as the set lists them; empty: those that occur, by name.
        annotations: files that hold them.
        form: what the numbers of boxes are, a key of `READINGS`.
        fractions: numbers are fractions of the image, not pixels.
    """

    images: Sequence[DescribedImage]
    classes: tuple[str, ...] = ()
    annotations: Sequence[Path] = ()
    form: str = XYWH
    fractions: bool = False


@dataclass
class Reading:
    """How a set is read, and what is found on the way.

    Attributes:
        rules: how images are decoded.
        classes: the classes that are wanted; empty: the set's own.
        on_invalid: whether what can be repaired is.
        keep_written: keep what objects were written as, for conversion.
        findings: faults of what is trained and scored on.
        test_findings: faults of the test split, which no training looks at.
    """

    rules: ImageRules = RULES
    classes: tuple[str, ...] = ()
    on_invalid: OnInvalid = "repair"
    keep_written: bool = False
    findings: Findings = field(init=False)
    test_findings: Findings = field(init=False)

    def __post_init__(self) -> None:
        self.findings, self.test_findings = Findings(self.on_invalid), Findings(self.on_invalid)

    def of(self, split: str) -> Findings:
        """Return where faults of a split are noted."""
        return self.test_findings if split == "test" else self.findings
