"""Label maps: what each raw value of a set's label files is, in a YAML file that people read and edit.

    labels:
    - {color: "#8429F6", id: 0, name: land}
    - {color: "#9B9B9B", id: 255, name: unlabelled, ignore: true}

`color` or `value` is what stands in the files; `id` is what `ablata data convert` writes: 0, 1, 2 and so on for the
classes, anything else up to 255 for what is ignored. Where the files hold values, a colour may stand beside to draw in.
`transparent`, as a colour or a value, stands for pixels on which nothing is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError, listing, nearest
from ablata.base.yaml_files import YamlFileError, read_plain_yaml
from ablata.data.labels.table import (
    MOST_CLASSES,
    TRANSPARENT,
    TRANSPARENT_NAME,
    Color,
    Form,
    LabelTable,
    default_palette,
    refuse_one_name,
    translate,
    unknown_values,
    whole_value,
    written_value,
)

MAP_FILE = "label_map.yaml"
"""Under this name a set's folder holds its own map."""
HIGHEST_ID = 255
HEAD = """# What the values of the label files mean; edit it, then `ablata data convert FOLDER --map THIS_FILE --output NEW_FOLDER`.
# colour or value: as it stands in the files. id: what is written, 0, 1, 2 ... for the classes, up to 255 for the rest.
# ignore: true where a pixel counts neither in training nor in a score.
"""  # noqa: E501

_KEYS = ("value", "color", "id", "name", "ignore")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Label:
    """One raw value: `value` (a colour as 0xRRGGBB), the `id` it is written as, its name, whether its pixels are
    ignored, the colour it is drawn in (None: any), and a remark for whoever reads the file."""

    value: int
    id: int
    name: str
    ignore: bool = False
    color: Color | None = None
    remark: str = ""


@dataclass(frozen=True)
class LabelMap:
    """The raw values of a set.

    Attributes:
        form: what they are: ids, or colours as 0xRRGGBB.
        labels: each of them.
        source: the file it was read from, for messages.

    Raises:
        DataError: a value stands twice, the ids of the classes are not 0, 1, 2 ..., one id has two names, or an id is
            both a class and ignored.
    """

    form: Form
    labels: tuple[Label, ...]
    source: str = "the label map"

    def __post_init__(self) -> None:
        values = [label.value for label in self.labels]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise self._wrong("Every value must be listed once in a label map", listing(map(self.written_value, twice)))
        kept = sorted({label.id for label in self.labels if not label.ignore})
        if kept != list(range(len(kept))) or not 0 < len(kept) <= MOST_CLASSES:
            raise self._wrong(f"The classes of a label map must have the ids 0, 1, 2 ..., 1 to {MOST_CLASSES} of them",
                              f"ids {listing(map(str, kept[:12]))}")  # fmt: skip
        ignored = {label.id for label in self.labels if label.ignore}
        if ignored & set(kept) or any(not 0 <= number <= HIGHEST_ID for number in ignored):
            clash = sorted((ignored & set(kept)) | {number for number in ignored if not 0 <= number <= HIGHEST_ID})
            raise self._wrong(f"Ignored values must have ids of their own, up to {HIGHEST_ID}",
                              f"id {listing(map(str, clash))}")  # fmt: skip
        for number in kept:
            names = sorted({label.name for label in self.labels if label.id == number})
            if len(names) > 1:
                raise self._wrong("A class id must have one name", f"id {number} is {' and '.join(names)}")
        first = {label.id: label for label in reversed(self.labels) if not label.ignore}
        refuse_one_name(((first[number].value, first[number].name) for number in kept), self.form, self.source)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the class names by id."""
        named = {label.id: label.name for label in self.labels if not label.ignore}
        return tuple(named[number] for number in range(len(named)))

    @property
    def exact(self) -> bool:
        """Whether every id leads back to one value."""
        return len({label.id for label in self.labels}) == len(self.labels)

    def written_value(self, value: int) -> str:
        """Return a raw value as maps have it: `7`, `#3C1098`."""
        return written_value(self.form, value)

    def find(self, value: int) -> Label | None:
        """Return what a raw value is, or None."""
        return next((label for label in self.labels if label.value == value), None)

    def table(self) -> LabelTable:
        """Return the table that training reads the files by.

        Raises:
            DataError: several values are one class: that is for `ablata data convert`.
        """
        classes = sorted((label for label in self.labels if not label.ignore), key=lambda label: label.id)
        if len(classes) != len(self.names):
            many = next(name for at, name in enumerate(self.names) if [one.id for one in classes].count(at) > 1)
            raise DataError(
                "A label map that training reads must have one value for each class",
                found=f"{self.source}: several values are {many}",
                do=f"ablata data convert FOLDER --map {self.source} --output NEW_FOLDER, and train on that",
            )
        ignored = sorted((label for label in self.labels if label.ignore), key=lambda label: -label.id)
        return LabelTable(
            form=self.form,
            names=self.names,
            values=tuple(label.value for label in classes),
            ignored=tuple(label.value for label in ignored),
            palette=tuple(self.drawn(label) for label in classes),
        )

    def drawn(self, label: Label) -> Color:
        """Return the colour that one of the labels is drawn in."""
        if label.color is not None:
            return label.color
        if self.form == "colors":
            return split_color(label.value)
        return default_palette(HIGHEST_ID + 1)[label.id]

    def converted(self) -> LabelMap:
        """Return the map of the set that `ablata data convert` writes: the ids as values, the colours kept."""
        first: dict[int, Label] = {}
        for label in self.labels:
            first.setdefault(label.id, Label(label.id, label.id, label.name, label.ignore, self.drawn(label)))
        return LabelMap("ids", tuple(first[number] for number in sorted(first)), MAP_FILE)

    def encode(self, raw: np.ndarray, where: str) -> np.ndarray:
        """Turn raw values, whole numbers [H, W], into the ids to be written, uint8.

        Raises:
            DataError: a value is not in the map; names the file, the values and their pixels.
        """
        ids, strange = translate(raw, [label.value for label in self.labels], [label.id for label in self.labels])
        if strange.any():
            raise unknown_values(self.form, raw[strange], where)
        return ids

    def decode(self, ids: np.ndarray, where: str) -> np.ndarray:
        """Turn written ids, uint8 [H, W], back into raw values, int64; an id of several values gives the first of them.

        Raises:
            DataError: an id is not in the map.
        """
        back, known = np.zeros(HIGHEST_ID + 1, dtype=np.int64), np.zeros(HIGHEST_ID + 1, dtype=bool)
        for label in reversed(self.labels):
            back[label.id], known[label.id] = label.value, True
        strange = ids[~known[ids]]
        if strange.size:
            raise unknown_values("ids", strange, where)
        raw: np.ndarray = back[ids]
        return raw

    def as_text(self, head: str = HEAD) -> str:
        """Return the file's text."""
        lines = []
        for label in self.labels:
            raw = (
                f"color: {_quoted(self.written_value(label.value))}"
                if self.form == "colors"
                else f"value: {self.written_value(label.value)}"
            )
            shown = label.color is not None and self.form == "ids"
            drawn = f", color: {_quoted(written_value('colors', color_code(self.drawn(label))))}" if shown else ""
            ignore = ", ignore: true" if label.ignore else ""
            remark = f"  # {_escaped(label.remark)}" if label.remark else ""
            lines.append(f"- {{{raw}, id: {label.id}, name: {_quoted(label.name)}{drawn}{ignore}}}{remark}")
        return head + "labels:\n" + "\n".join(lines) + "\n"

    def _wrong(self, must: str, found: str) -> DataError:
        return DataError(must, found=f"{self.source}: {found}", do="correct the file")


def split_color(code: int) -> Color:
    """Return red, green, blue of 0xRRGGBB."""
    return code >> 16 & 255, code >> 8 & 255, code & 255


def color_code(color: Color) -> int:
    """Return 0xRRGGBB."""
    return color[0] << 16 | color[1] << 8 | color[2]


def read_label_map(file: Path) -> LabelMap:
    """Read a label map.

    Raises:
        DataError: the file is missing, no YAML, or not of the form at the head of this module; names the line or label.
    """
    try:
        tree = read_plain_yaml(file)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("A label map must be a text file", found=f"{file}: {error}", do="save it as UTF-8") from None
    except YamlFileError as error:
        found = f"{file}: {error}"
        do = 'put colours and names with special signs in quotation marks: "#8429F6"'
        raise DataError("A label map must be YAML", found=found, do=do) from None
    rows = tree.get("labels") if isinstance(tree, dict) and set(tree) == {"labels"} else None
    if not isinstance(rows, list) or not rows:
        raise DataError("A label map must have one key, `labels`, with a line for each value",
                        found=f"{file}: {listing(tree) if isinstance(tree, dict) else type(tree).__name__}",
                        do='write lines like - {color: "#8429F6", id: 0, name: land}')  # fmt: skip
    labels = tuple(_label(row, f"{file}, label {number}") for number, row in enumerate(rows, start=1))
    forms: set[Form] = {"ids" if "value" in row else "colors" for row in rows}
    if len(forms) > 1:
        raise DataError(
            "The labels of a label map must all have a value, or all have only a colour",
            found=f"{file}: both",
            do="use value in every line, or in none; a colour beside a value is what it is drawn with",
        )
    return LabelMap(forms.pop(), labels, str(file))


def _label(row: object, where: str) -> Label:
    if not isinstance(row, dict) or not all(isinstance(value, str) for value in row.values()):
        raise DataError("A label must be a mapping on one line", found=f"{where}: {row}",
                        do='write it like - {value: 74, id: 1, name: road}')  # fmt: skip
    for key in row:
        if key not in _KEYS:
            close = nearest(str(key), _KEYS)
            raise DataError(f"The keys of a label must be among {listing(_KEYS)}", found=f"{where}: {key}",
                            do=f"did you mean {close}?" if close else "remove the key")  # fmt: skip
    missing = [key for key in ("id", "name") if not row.get(key)] + list(_no_raw(row))
    if missing:
        raise DataError(
            "A label must have an id, a name, and a value or a colour",
            found=f"{where}: no {missing[0]}",
            do='put colours in quotation marks: "#8429F6"' if "color" in row else f"add the key {missing[0]}",
        )
    drawn = _code(row["color"], where) if "color" in row else None
    value = _whole(row, "value", where) if "value" in row else drawn
    assert value is not None
    color = split_color(drawn) if drawn is not None and "value" in row else None
    return Label(value, _whole(row, "id", where), row["name"], _truth(row.get("ignore", "false"), where), color)


def _no_raw(row: dict[str, str]) -> Iterator[str]:
    if not row.get("value") and not row.get("color"):
        yield "value or color"


def _whole(row: dict[str, str], key: str, where: str) -> int:
    if key == "value" and row[key] == TRANSPARENT_NAME:
        return TRANSPARENT
    if not _WHOLE.fullmatch(row[key]):
        raise DataError(f"The {key} of a label must be a whole number", found=f"{where}: {row[key]}",
                        do=f"write it like {key}: 1")  # fmt: skip
    return whole_value(row[key], where)


def _code(text: str, where: str) -> int:
    if text == TRANSPARENT_NAME:
        return TRANSPARENT
    if not _COLOR.fullmatch(text):
        raise DataError('The colour of a label must be written like "#8429F6"', found=f"{where}: {text or 'nothing'}",
                        do="put it in quotation marks")  # fmt: skip
    return int(text[1:], 16)


def _truth(text: str, where: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise DataError(
            "ignore must be true or false", found=f"{where}: {text}", do="write ignore: true, or leave it out"
        )
    return text.lower() == "true"


def _quoted(text: str) -> str:
    """Return a scalar that reads back as this text inside a flow mapping."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.()/-]*", text) and text == text.strip()
    return text if plain else '"' + _escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _escaped(text: str) -> str:
    """Return a text whose signs YAML does not take, control characters and the like, are written as it escapes them."""
    return "".join(one if one.isprintable() else f"\\U{ord(one):08X}" for one in text)
