"""What happened to label files that hold far more values than classes: smoothed edges, or a number for each object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ablata.data.io.object_codes import coded_classes, object_code
from ablata.data.label_tools.survey import Survey
from ablata.data.labels.table import TRANSPARENT

_MANY = 8
"""So many values at least are no accident of one file."""


def smoothed(survey: Survey) -> list[int]:
    """Return the values that are drawn, where all the others are what interpolation left at edges; else nothing.

    A drawn value fills a square of 3 by 3 pixels somewhere; values in between, left by resizing with a filter, do not.
    """
    solid = [value for value in survey.ordered() if survey.values[value].solid]
    thin = [value for value in survey.ordered() if not survey.values[value].solid]
    if len(thin) < _MANY or len(thin) <= 2 * len(solid) or len(solid) < 2:
        return []
    if survey.form == "ids" and not all(min(solid) < value < max(solid) for value in thin):
        return []
    return solid


@dataclass(frozen=True)
class Instances:
    """Label files that number objects.

    Attributes:
        base: values are class * base + object; None: objects are numbered, and no class is told.
        classes: those that are told, ascending.
    """

    base: int | None
    classes: Sequence[int] = ()


def divided(raw: np.ndarray, base: int) -> np.ndarray:
    """Return the classes of raw values that are class * base + object; smaller ones are classes already."""
    return np.where((raw >= base) & (raw != TRANSPARENT), raw // base, raw)


def instances(survey: Survey) -> Instances | None:
    """Tell whether 16- or 32-bit label files number objects, in place of naming classes."""
    values = survey.ordered()
    if survey.form != "ids" or not values or values[-1] <= 255:
        return None
    consecutive = sum(value + 1 in survey.values for value in values[:-1])
    if len(values) > 255 and 2 * consecutive > len(values):
        return Instances(None)
    if (base := object_code(values)) is not None:
        return Instances(base, coded_classes(values, base))
    # The higher a number, the fewer images have so many objects.
    files = [survey.values[value].total().files for value in values if value]
    falling = all(before >= after for before, after in pairwise(files))
    return Instances(None) if len(values) > 255 and falling else None
