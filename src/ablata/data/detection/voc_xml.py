"""One annotation of Pascal VOC's, in XML: its objects, each field checked, faults noted and not raised."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from ablata.base.errors import DataError, choices, listing, nearest
from ablata.base.quantities import counted
from ablata.data.detection.fields import FieldError, Fields
from ablata.data.detection.problems import Findings

_BORDERS = ("xmin", "ymin", "xmax", "ymax")
_LETTERS = 40
_TAGS = frozenset({"object", "name", "bndbox", "difficult", *_BORDERS})
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding=["']([\w.-]+)["'][^>]*\?>""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


@dataclass(frozen=True)
class VocObject:
    """An object whose fields can be read.

    Attributes:
        where: file and position in it, for messages.
        label: position in the class list.
        borders: xmin, ymin, xmax, ymax as written, from 1 on, the last pixel included.
        difficult: ignored in training and scores.
    """

    where: str
    label: int
    borders: tuple[float, float, float, float]
    difficult: bool

    @property
    def half_open(self) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom from 0 on, half open; one without area as it is written."""
        left, top, right, bottom = self.borders
        has_area = right > left and bottom > top
        return (left - 1, top - 1, right, bottom) if has_area else self.borders


@dataclass(frozen=True)
class VocFile:
    """An annotation.

    Args:
        path: the file.
        tree: its root, without namespaces.
    """

    path: Path
    tree: ElementTree.Element

    @property
    def where(self) -> str:
        """Return the file's name, for messages."""
        return self.path.name

    @property
    def file_name(self) -> str:
        """Return the name of the image that is written in it."""
        return (self.tree.findtext("filename") or "").strip()

    def size(self, findings: Findings) -> tuple[int, int] | None:
        """Return height and width; None where they are missing or 0."""
        values = {side: self.tree.findtext(f"size/{side}") for side in ("height", "width")}
        said = {side: text.strip() for side, text in values.items() if text and text.strip()}
        fields = Fields(said, self.where, Findings("repair"))
        try:
            if len(said) < 2 or not all(fields.number(side) for side in said):
                return None
            return fields.whole("height", least=1), fields.whole("width", least=1)
        except FieldError as error:
            findings.refuse(error.must, error.found)
            return None

    def objects(self, classes: Sequence[str], findings: Findings) -> list[VocObject]:
        """Return the objects; those of unknown classes, or with fields that are no numbers, are refused."""
        self._refuse_strange(findings)
        found = []
        seen: set[tuple[object, ...]] = set()
        for number, element in enumerate(self.tree.iter("object"), start=1):
            where = f"{self.where} object {number}"
            try:
                one = self._object(element, where, classes)
            except FieldError as error:
                findings.refuse(error.must, error.found)
                continue
            key = (one.label, one.borders, one.difficult)
            if key in seen:
                findings.repairable("Every object must be annotated once", "objects that are annotated twice left out",
                                    f"{where} {one.borders}")  # fmt: skip
                continue
            seen.add(key)
            found.append(one)
        return found

    def _refuse_strange(self, findings: Findings) -> None:
        """Refuse what would be passed over: a tree of another kind, tags in capitals, boxes that no object has."""
        if self.tree.tag != "annotation":
            findings.refuse(
                "The root of an annotation must be <annotation>", f"{self.where}: <{self.tree.tag[:_LETTERS]}>"
            )
        tags = [element.tag for element in self.tree.iter() if isinstance(element.tag, str)]
        capitals = sorted({tag for tag in tags if tag.lower() in _TAGS and tag not in _TAGS})
        if capitals:
            findings.refuse("Tags must be written in small letters", f"{self.where}: {listing(capitals)}")
        inside = sum(len(one.findall(path)) for one in self.tree.iter("object") for path in ("bndbox", "part/bndbox"))
        if tags.count("bndbox") != inside:
            found = f"{self.where}: {counted(tags.count('bndbox') - inside, 'bndbox', 'bndboxes')} elsewhere"
            findings.refuse("Every box must be of an object", found)

    def _object(self, element: ElementTree.Element, where: str, classes: Sequence[str]) -> VocObject:
        for tag in ("name", "bndbox"):
            if len(element.findall(tag)) > 1:
                raise FieldError("An object must have one name and one box", f"{where}: {tag} more than once")
        name = (element.findtext("name") or "").strip()
        if name not in classes:
            close = nearest(name, classes)
            meant = f", nearest {close}" if close else ""
            raise FieldError(
                f"The class of an object must be one of the listed classes ({choices(classes, name)})",
                f"{where}: {name or 'no name'}{meant}",
            )
        box = element.find("bndbox")
        if box is None:
            raise FieldError("Every object must have a box", f"{where}: no bndbox")
        quiet = Fields({key: box.findtext(key) for key in _BORDERS}, where, Findings("repair"))
        left, top, right, bottom = (quiet.number(key) for key in _BORDERS)
        flags = Fields({"difficult": (element.findtext("difficult") or "0").strip()}, where, Findings("repair"))
        return VocObject(where, classes.index(name), (left, top, right, bottom), flags.flag("difficult"))


def remark_other_images(found: Iterable[tuple[VocFile, Path]], findings: Findings) -> None:
    """Remark on annotations in which the name of another image is written: each counts for the image of its own name.

    Args:
        found: annotations, and the image of each.
        findings: where it is noted.
    """
    pairs = list(found)
    stems = {image.stem for _, image in pairs}
    others = [
        f"{tree.where} ({tree.file_name})"
        for tree, image in pairs
        if (stem := PurePosixPath(tree.file_name.replace("\\", "/")).stem) != image.stem and stem in stems
    ]
    if others:
        many = counted(len(others), "annotation names", "annotations name")
        findings.remark(
            f"{many} another image of the set as filename; what counts is the annotation's own name: "
            f"{listing(others[:4])}"
        )


def read_annotation(path: Path) -> VocFile:
    """Read an annotation, in any encoding that Python knows.

    Raises:
        DataError: it is no XML, or declares entities.
    """
    content = path.read_bytes()
    try:
        if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
            raise DataError("Annotation files must not declare a document type (DOCTYPE)", found=f"{path}: a DOCTYPE",
                        do="remove it: entities of a document type are not read")  # fmt: skip
        try:
            tree = ElementTree.fromstring(content)
        except (ElementTree.ParseError, ValueError, LookupError):
            if not _DECLARED.match(content):
                raise
            # The parser knows few encodings; Python knows gb2312 and its like.
            tree = ElementTree.fromstring(_DECLARATION.sub("", decode_text(content, str(path)), count=1))
    except (ElementTree.ParseError, ValueError, LookupError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "Annotations must be XML", found=f"{path}: {error}", do="correct the file, or export it again"
        ) from None
    for element in tree.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return VocFile(path, tree)


def decode_text(content: bytes, where: str) -> str:
    """Return text in UTF-8, in UTF-16 with its mark, or as an XML declaration says.

    Raises:
        DataError: it is none of these.
    """
    declared = _DECLARED.match(content)
    encoding = declared.group(1).decode("ascii") if declared else "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise DataError("Text must be in UTF-8, or in the encoding that the file declares", found=f"{where}: {error}",
                        do="save the file as UTF-8") from None  # fmt: skip
