"""A label map proposed from what the label files hold; it never guesses a name, and says why a value is ignored."""

from __future__ import annotations

import math

from ablata.base.errors import DataError, listing
from ablata.data.label_tools.accidents import instances, smoothed
from ablata.data.label_tools.survey import Count, Survey, Value
from ablata.data.labels.class_lists import numbered
from ablata.data.labels.map import HEAD, LabelMap, split_color
from ablata.data.labels.table import MOST_CLASSES, Form, written_value

RARE_FILES, RARE_FRACTION = 0.1, 0.01
"""A value in at most this fraction of the files (or in one), with less than this fraction of the pixels, is rare."""
_APART = {"colors": 48.0, "ids": 10.0}
"""Values of lossy files that are nearer than this to a more frequent one are its noise."""


def is_rare(survey: Survey, value: int) -> bool:
    """Tell whether so few files hold a value that somebody may have slipped; never in fewer than five files."""
    files = sum(survey.files.values())
    held = survey.values[value].total().files
    return files >= 5 and held <= max(1, files * RARE_FILES) and survey.fraction(value) < RARE_FRACTION


def is_contiguous(values: list[int]) -> bool:
    """Tell whether values are 0, 1, 2 ... without a gap."""
    return sorted(values) == list(range(len(values)))


def propose(survey: Survey, known: LabelMap | None) -> tuple[LabelMap, str]:
    """Propose a map.

    Values that the known list has keep their names. Others are called `class_VALUE`; rare ones, and 255 beside 0, 1,
    2 ..., are proposed to be ignored, with the reason beside them.

    Args:
        survey: what the files hold.
        known: the class list of the folder, or None.

    Returns:
        The map, and the text to be written.

    Raises:
        DataError: there is no value, or more than classes can be.
    """
    values = _classes(survey)
    order = [value for value in survey.ordered() if value in values]
    if len(order) < len(values):
        order = sorted(values)
    if not order or len(order) > MOST_CLASSES:
        raise DataError(
            f"A label map can be proposed for 1 to {MOST_CLASSES} different values",
            found=f"{len(order):,} values: label files that are photographs, or smoothed at their edges?",
            do="list the classes yourself in a map, and convert with --nearest",
        )
    fits = known is not None and known.form == survey.form
    unused = [label for label in known.labels if label.value not in values] if known and fits else []
    trusted = known is not None and fits and 2 * len(unused) <= len(known.labels)
    rows = [_row(survey, values, value, known if fits else None) for value in order]
    if trusted:
        rows += [(label.value, label.name, label.ignore, "in no label file") for label in unused]
    if all(ignore for _, _, ignore, _ in rows):
        rows = [(value, name, False, remark) for value, name, _, remark in rows]
    label_map = numbered(survey.form, rows, "the proposed map")
    shown = [f"{label.name} {written_value(survey.form, label.value)}" for label in unused] if not trusted else []
    head = HEAD + (f"# Of the class list, in no label file: {listing(shown)}.\n" if shown else "")
    return label_map, label_map.as_text(head)


def _classes(survey: Survey) -> dict[int, Value]:
    """Return the values that are classes: those drawn of smoothed files, those of whole classes of numbered objects.

    Raises:
        DataError: objects are numbered, and nothing says of what class.
    """
    numbered = instances(survey)
    if numbered is not None and numbered.base is None:
        raise DataError(
            "A label map can be proposed only where values are classes",
            found=f"{len(survey.values)} values that number objects",
            do="export a mask of classes, or use a set of boxes with masks",
        )
    if numbered is not None:
        return {value: _gathered(survey, value, numbered.base or 1) for value in numbered.classes}
    if drawn := smoothed(survey):
        return {value: survey.values[value] for value in drawn}
    return survey.values or _without_noise(survey.lossy_values, survey.form)


def _gathered(survey: Survey, label: int, base: int) -> Value:
    """Return the counts of a class whose objects are numbered; files are counted for the object that most hold."""
    found = [
        one for value, one in survey.values.items() if value == label or (value >= base and value // base == label)
    ]
    places: dict[tuple[str, str], Count] = {}
    for one in found:
        for place, count in one.places.items():
            total = places.setdefault(place, Count())
            total.pixels += count.pixels
            total.files, total.present = max(total.files, count.files), max(total.present, count.present)
    return Value(places, [example for one in found for example in one.examples[:1]], solid=True)


def _row(survey: Survey, values: dict[int, Value], value: int, known: LabelMap | None) -> tuple[int, str, bool, str]:
    label = known.find(value) if known else None
    files = sum(survey.files.values())
    total = sum(survey.pixels.values())
    fraction = values[value].total().pixels / total if total else 0.0
    held = f"{percent(fraction)} of the pixels, in {values[value].total().files} of {files} files"
    name = f"class_{written_value(survey.form, value).removeprefix('#')}"
    if label is not None:
        return value, label.name, label.ignore, held
    if value in survey.values and not instances(survey) and _is_extra(survey, values, value):
        return value, name, True, f"{held}: ignored? if it is a class, take `ignore: true` away and number the ids"
    return value, name, False, held


def _is_extra(survey: Survey, values: dict[int, Value], value: int) -> bool:
    others = [other for other in values if other != value]
    if survey.form == "ids" and is_contiguous([*others, value]):
        return False
    if survey.form == "ids" and value == 255 and len(others) > 1 and is_contiguous(others):
        return True
    return is_rare(survey, value)


def _without_noise(values: dict[int, Value], form: Form) -> dict[int, Value]:
    """Return the values that no more frequent one is near."""
    kept: dict[int, Value] = {}
    for value in sorted(values, key=lambda value: -values[value].total().pixels):
        if all(distance(value, other, form) > _APART[form] for other in kept):
            kept[value] = values[value]
    return kept


def distance(left: int, right: int, form: Form) -> float:
    """Return how far two values are apart: colours in RGB, ids as numbers."""
    if form == "ids":
        return abs(left - right)
    return math.dist(split_color(left), split_color(right))


def percent(fraction: float) -> str:
    """Write a fraction: `47.2%`, `0.0027%`."""
    if fraction >= 0.9995 or fraction == 0:
        return f"{fraction:.0%}"
    return f"{100 * fraction:.3g}%"
