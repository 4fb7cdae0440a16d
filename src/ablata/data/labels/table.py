"""What the values of a mask mean: raw values (ids or colors) to labels and back, without a guess.

A raw value that is in no table is an error that names the file and the count. Silently ignoring it would train on less
than the user thinks, and score it too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, choices, listing
from ablata.base.files import read_text
from ablata.base.quantities import counted
from ablata.data.io.walk import is_name
from ablata.structures.ignore import IGNORE

Form = Literal["ids", "colors"]
Color = tuple[int, int, int]
MOST_CLASSES = IGNORE
VOID_NAMES = frozenset({"unlabelled", "unlabeled", "void", "ignore", "ignored", "unknown", "don't care"})
"""Classes of these names, in any case, are ignored where a list cannot say so itself."""
VOID_COLOR: Color = (0, 0, 0)
"""Ignored pixels are drawn in this colour where the table has no other."""
VOID_CLASS_COLOR: Color = (90, 90, 90)
"""Colour of ignored values that are trained as a class."""

TRANSPARENT = 1 << 24
"""Raw value of pixels on which a mask has nothing drawn: one more than the highest colour."""
TRANSPARENT_NAME = "transparent"
"""How class lists and maps write it."""
_VALUE = r"#[0-9a-fA-F]{6}|-?\d+|transparent"
_DIGITS = 10
"""Letters of the longest whole number that is read, a sign among them."""
_LINE = re.compile(rf"({_VALUE})(?:\s*[:;,=]\s*|\s+)(\S.*)")
_BEGINS = re.compile(rf"(?:{_VALUE}|#)(?:\W|$)")


@dataclass(frozen=True)
class LabelTable:
    """The classes of a set and the raw values that stand for them in its masks.

    Attributes:
        form: what the raw values are: ids, or colours as 0xRRGGBB.
        names: class names; a label is a position in it.
        values: raw value of each class.
        ignored: raw values that become `void`; the first of them is written back for it.
        palette: red, green, blue of each class for drawing.
        void: label of the ignored raw values: `IGNORE`, or the last class.

    Raises:
        DataError: a value stands for two classes, or there are none, or more than 255.
    """

    form: Form
    names: tuple[str, ...]
    values: tuple[int, ...]
    ignored: tuple[int, ...]
    palette: tuple[Color, ...]
    void: int = IGNORE

    def __post_init__(self) -> None:
        every = [*self.values, *self.ignored]
        twice = sorted({value for value in every if every.count(value) > 1})
        if twice:
            raise DataError(
                "A raw value of a mask must be one class only",
                found=f"{listing(map(self.written_value, twice))} named more than once",
                do="list each value once",
            )
        if wrong := [name for name in self.names if not is_name(name)]:
            raise DataError("Names of classes must be text on one line", found=listing(map(repr, wrong[:4])),
                            do="rename them in the class list or label map")  # fmt: skip
        expected = len(self.values) + (self.void != IGNORE)
        if not 0 < len(self.names) <= MOST_CLASSES or len(self.names) != expected:
            raise DataError(
                f"A segmentation set must have 1 to {MOST_CLASSES} classes, each with its raw value",
                found=f"{counted(len(self.names), 'class')}, {counted(len(self.values), 'value')}",
                do="correct the class list or label map",
            )

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that identify which raw value becomes which label."""
        text = f"{self.form}|{self.names}|{self.values}|{self.ignored}|{self.void}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def written_value(self, value: int) -> str:
        """Return a raw value as it is written in class lists: `7`, `#3C1098`."""
        return written_value(self.form, value)

    def encode(self, raw: np.ndarray, where: str) -> np.ndarray:
        """Turn raw values into labels.

        Args:
            raw: whole numbers [H, W].
            where: the file, for the message.

        Returns:
            uint8 [H, W], in [0, classes) or `IGNORE`.

        Raises:
            DataError: a value is in no class and not ignored; names the file, the values and their pixels.
        """
        targets = [*range(len(self.values)), *[self.void] * len(self.ignored)]
        labels, strange = translate(raw, [*self.values, *self.ignored], targets)
        if strange.any():
            raise unknown_values(self.form, raw[strange], where)
        return labels

    def decode(self, labels: np.ndarray) -> np.ndarray:
        """Turn labels back into raw values: the exact reverse of `encode` where one value at most is ignored.

        Args:
            labels: whole numbers [H, W], in [0, classes) or `IGNORE`.

        Returns:
            int64 [H, W].

        Raises:
            DataError: pixels are ignored and no raw value says so.
        """
        back = np.zeros(IGNORE + 1, dtype=np.int64)
        back[: len(self.values)] = self.values
        if self.ignored:
            back[self.void] = self.ignored[0]
        known = (labels < len(self.values)) | ((labels == self.void) & bool(self.ignored))
        if not known.all():
            raise DataError(
                "Every label must have a raw value to be written as",
                found=f"{counted(int((~known).sum()), 'pixel')} of {listing(map(str, np.unique(labels[~known])[:5]))}",
                do="add these ids to the label map",
            )
        raw: np.ndarray = back[labels]
        return raw

    def with_void_class(self) -> LabelTable:
        """Return the table in which ignored values are one more class, `void`: only added borders are still ignored.

        Raises:
            DataError: nothing is ignored.
        """
        if not self.ignored:
            raise DataError("data.void=class needs ignored raw values", found="a class list that ignores none",
                            do="name them in data.ignored, or mark them `ignore: true` in a label map")  # fmt: skip
        return replace(
            self, names=(*self.names, "void"), palette=(*self.palette, VOID_CLASS_COLOR), void=len(self.values)
        )


def written_value(form: Form, value: int) -> str:
    """Return a raw value as it is written in class lists: `7`, `#3C1098`, `transparent`."""
    if value == TRANSPARENT:
        return TRANSPARENT_NAME
    return f"#{value:06X}" if form == "colors" else str(value)


def translate(raw: np.ndarray, values: Sequence[int], targets: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Replace raw values by labels.

    Args:
        raw: whole numbers [H, W].
        values: the raw values, all different.
        targets: the label of each, in 0..255.

    Returns:
        Labels, uint8 [H, W], and bool [H, W]: where a value is not among `values` and the label means nothing.
    """
    order = np.argsort(values)
    known, labels = np.array(values, dtype=np.int64)[order], np.array(targets, dtype=np.uint8)[order]
    place = np.searchsorted(known, raw).clip(max=len(known) - 1)
    return labels[place], known[place] != raw


def unknown_values(form: Form, strange: np.ndarray, where: str) -> DataError:
    """Return the error that names a file, those of its values that no class list has, and their pixels."""
    values, counts = np.unique(strange, return_counts=True)
    order = np.argsort(-counts)
    shown = [f"{written_value(form, int(values[at]))} ({counted(int(counts[at]), 'pixel')})" for at in order[:5]]
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    what = "color" if form == "colors" else "id"
    return DataError(
        f"Every {what} of a mask must be in the class list or among the ignored ones",
        found=f"{where}: {listing(shown)}{more}",
        do=f"add the {what} to the class list or label map, as a class or as ignored; or let a map of what is there be "
        "written, and convert: ablata data check FOLDER --propose-map map.yaml; ablata data convert FOLDER "
        "--map map.yaml --output NEW_FOLDER",
    )


def paint(labels: np.ndarray, palette: Sequence[Color], void: Color = VOID_COLOR) -> np.ndarray:
    """Return uint8 [H, W, 3]: each label (uint8 [H, W]) in its colour, everything else in `void`."""
    colors = np.empty((IGNORE + 1, 3), dtype=np.uint8)
    colors[:] = void
    colors[: len(palette)] = palette
    painted: np.ndarray = colors[labels]
    return painted


def color_codes(pixels: np.ndarray) -> np.ndarray:
    """Return int32 [H, W], 0xRRGGBB of uint8 [H, W, 3]."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def default_palette(count: int) -> tuple[Color, ...]:
    """Return `count` colours, all different and none black: those of Pascal VOC (the bits of the number, interleaved).

    Source: Everingham et al., VOC development kit, VOCcolormap.
    """
    palette = []
    for number in range(1, count + 1):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
        palette.append((channels[0], channels[1], channels[2]))
    return tuple(palette)


def read_table(file: Path, ignored: Collection[str]) -> LabelTable:
    """Read a class list: a line `ID NAME` or `#RRGGBB NAME` for each class, in the order of the labels; or names alone,
    of which the first is 0, the second 1 and so on.

    Args:
        file: the list.
        ignored: names (in any case) whose pixels are ignored.

    Raises:
        DataError: the file is missing, a line has another form, ids and colours are mixed, two lines have one name, or
            a name in `ignored` is not in the list.
    """
    form, values, names = read_class_lines(file)
    folded = {name.casefold() for name in ignored}
    missing = folded - {name.casefold() for name in names}
    if missing:
        raise DataError(
            "data.ignored must name classes of the list",
            found=f"{listing(sorted(missing))}; {file} has {choices(names, sorted(missing)[0])}",
            do="correct data.ignored, or the list",
        )
    kept = [at for at, name in enumerate(names) if name.casefold() not in folded]
    palette = default_palette(len(kept))
    if form == "colors":
        palette = tuple((values[at] >> 16 & 255, values[at] >> 8 & 255, values[at] & 255) for at in kept)
    return LabelTable(
        form=form,
        names=tuple(names[at] for at in kept),
        values=tuple(values[at] for at in kept),
        ignored=tuple(value for at, value in enumerate(values) if at not in kept),
        palette=palette,
    )


def read_class_lines(file: Path) -> tuple[Form, list[int], list[str]]:
    """Read the lines of a class list; see `read_table`.

    Returns:
        What the values are, the values, and the names.

    Raises:
        DataError: it is no text, its lines are of two forms, or two classes have one name.
    """
    try:
        lines = [line.strip() for line in read_text(file).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("The class list must be a text file", found=f"{file}: {error}",
                        do="save it as UTF-8")  from None  # fmt: skip
    rows = [(number, line) for number, line in enumerate(lines, start=1) if line and not line.startswith("# ")]
    if rows and not any(_BEGINS.match(line) for _, line in rows):
        names = [line for _, line in rows]
        refuse_one_name(enumerate(names), "ids", str(file))
        return "ids", list(range(len(names))), names
    matches = [(number, line, _LINE.fullmatch(line)) for number, line in rows]
    wrong = [f"{file}, line {number}: {line}" for number, line, match in matches if match is None]
    pairs = [(match[1], match[2]) for _, _, match in matches if match is not None]
    forms: set[Form] = {"colors" if raw.startswith("#") else "ids" for raw, _ in pairs if raw != TRANSPARENT_NAME}
    if wrong or len(forms) != 1:
        raise DataError(
            "Every line of a class list must be `ID NAME`, or every one `#RRGGBB NAME`, or a name alone",
            found=wrong[0] if wrong else f"{file}: {'both forms' if forms else 'no classes'}",
            do="write all lines alike, such as `0 road`",
        )
    form = forms.pop()
    values = [_raw_value(raw, form, str(file)) for raw, _ in pairs]
    refuse_one_name(zip(values, (name for _, name in pairs), strict=True), form, str(file))
    return form, values, [name for _, name in pairs]


def _raw_value(text: str, form: Form, where: str) -> int:
    if text == TRANSPARENT_NAME:
        return TRANSPARENT
    return int(text.removeprefix("#"), 16) if form == "colors" else whole_value(text, where)


def whole_value(text: str, where: str) -> int:
    """Return a whole number that a class list or label map names.

    Raises:
        DataError: no mask holds such a number.
    """
    if len(text) > _DIGITS:
        raise DataError("A value of a mask must have 10 digits at most", found=f"{where}: {text[:20]}...",
                        do="correct the number")  # fmt: skip
    return int(text)


def refuse_one_name(rows: Iterable[tuple[int, str]], form: Form, source: str) -> None:
    """Check that no two classes are called alike.

    Args:
        rows: raw value and name of each class.
        form: what the values are.
        source: the file, for the message.

    Raises:
        DataError: two are.
    """
    named: dict[str, int] = {}
    for value, name in rows:
        if name in named and name.casefold() not in VOID_NAMES:
            first, second = written_value(form, named[name]), written_value(form, value)
            raise DataError("Two classes must not have one name", found=f"{source}: {first} and {second} are {name}",
                            do="rename one; to make them one class, give both one id in a label map")  # fmt: skip
        named[name] = value
