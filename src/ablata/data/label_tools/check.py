"""Checking the label files of a folder: what they hold, and what is wrong, by file, with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ablata.data.label_tools.problems import Finding, Mending, file_findings, pair_findings
from ablata.data.label_tools.propose_map import is_contiguous, is_rare, percent
from ablata.data.label_tools.survey import Survey, Value
from ablata.data.labels.layout import USUAL, Labelled, Names
from ablata.data.labels.map import Label, LabelMap
from ablata.data.labels.table import written
from ablata.structures.ignore import IGNORE

_SHOWN = 5


@dataclass(frozen=True)
class LabelReport:
    """What a folder of images and label files holds.

    Attributes:
        labelled: its files.
        survey: what the label files hold.
        label_map: what the values mean, or None where nothing says so.
        problems: what keeps the set from being trained on, or its scores from being believed.
        remarks: what is worth knowing.
    """

    labelled: Labelled
    survey: Survey
    label_map: LabelMap | None
    problems: tuple[Finding, ...]
    remarks: tuple[Finding, ...]

    def rows(self) -> list[tuple[int, Label | None, Value]]:
        """Return each value, what it is, and its counts: mapped ones by id, then the others."""
        survey = self.survey
        found = [(value, self.label_map and self.label_map.find(value)) for value in survey.ordered()]
        found.sort(key=lambda row: (row[1] is None, row[1].id if row[1] else 0))
        return [(value, label or None, survey.values[value]) for value, label in found]

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        survey = self.survey

        def plain(findings: Iterable[Finding]) -> list[dict[str, str]]:
            return [{"kind": one.kind, "where": one.where, "detail": one.detail, "do": one.do} for one in findings]

        return {
            "root": str(self.labelled.root),
            "form": survey.form,
            "map": self.label_map.source if self.label_map else None,
            "label_files": sum(survey.files.values()),
            "modes": dict(survey.modes),
            "sizes": {f"{height}x{width}": files for (height, width), files in sorted(survey.sizes.items())},
            "values": [self._value(value, label, found) for value, label, found in self.rows()],
            "problems": plain(self.problems),
            "remarks": plain(self.remarks),
        }

    def _value(self, value: int, label: Label | None, found: Value) -> dict[str, Any]:
        places = {
            f"{split or 'all'}/{folder}".rstrip("/"): {"pixels": count.pixels, "files": count.files}
            for (split, folder), count in found.places.items()
        }
        return {
            "value": written(self.survey.form, value),
            "id": label.id if label else None,
            "name": label.name if label else None,
            "ignore": label.ignore if label else None,
            "pixels": found.total().pixels,
            "files": found.total().files,
            "share": self.survey.share(value),
            "places": places,
        }


def judge(labelled: Labelled, survey: Survey, known: LabelMap | None, folder: str, names: Names = USUAL) -> LabelReport:
    """Say what is wrong with a folder.

    Args:
        labelled: its files.
        survey: what the label files hold.
        known: what the values should be, or None where nothing says so.
        folder: the folder as the user calls it, for the commands that mend.
        names: what the user says its folders are called.
    """
    mend = Mending(folder, known.source if known else None, names)
    problems, remarks = file_findings(survey, mend)
    more, also = pair_findings(labelled, survey, mend)
    problems, remarks = problems + more, remarks + also
    if known is not None and known.form != survey.form:
        problems.append(Finding("class list", known.source, f"lists {known.form}, the label files hold {survey.form}",
                                mend.convert_anew))  # fmt: skip
        known = None
    elif known is not None:
        problems += _against(survey, known, mend)
    else:
        problems += _without_list(survey, mend)
    told, also = _rare(survey, known, mend)
    problems, remarks = problems + told, remarks + also
    absent, elsewhere = _missing(labelled, survey, known if known and not is_wrong_list(survey, known) else None, mend)
    return LabelReport(labelled, survey, known, tuple(problems + absent), tuple(remarks + elsewhere))


def _against(survey: Survey, known: LabelMap, mend: Mending) -> list[Finding]:
    """Compare the values with the list."""
    strange = [value for value in survey.ordered() if known.find(value) is None]
    unused = [label for label in known.labels if label.value not in survey.values]
    if is_wrong_list(survey, known):
        detail = (
            f"{len(unused)} of its {len(known.labels)} {_kind(survey)} are in no label file ("
            + ", ".join(f"{label.name} {known.written(label.value)}" for label in unused[:8])
            + f"); {len(strange)} that are there are not in it ({_values(survey, strange)})"
        )
        return [Finding("class list", known.source, detail, mend.convert_anew)]
    return [_unexpected(survey, value, mend) for value in strange]


def is_wrong_list(survey: Survey, known: LabelMap) -> bool:
    """Tell whether a class list is of other files: most of it is in no label file, and there is what it has not."""
    unused = sum(label.value not in survey.values for label in known.labels)
    return 2 * unused > len(known.labels) and any(known.find(value) is None for value in survey.values)


def _unexpected(survey: Survey, value: int, mend: Mending) -> Finding:
    return Finding("unexpected value", written(survey.form, value), held(survey, value), mend.convert)


def held(survey: Survey, value: int) -> str:
    """Say how much of the label files a value takes, and name files with their share."""
    total, files = survey.values[value].total(), sum(survey.files.values())
    examples = survey.values[value].examples
    shown = ", ".join(f"{name} {percent(share)}" for name, share in examples[:_SHOWN])
    more = f" and {total.files - _SHOWN} more" if total.files > _SHOWN else ""
    return f"in {total.files} of {files} files, {percent(survey.share(value))} of all pixels: {shown}{more}"


def _without_list(survey: Survey, mend: Mending) -> list[Finding]:
    """Judge the values where nothing says what they are."""
    values = survey.ordered()
    if not values:
        return []
    if survey.form == "colours":
        detail = f"{len(values)} colours ({_values(survey, values)})"
        return [Finding("no class list", mend.folder, detail, mend.convert_anew)]
    others = [value for value in values if value != IGNORE]
    if not is_contiguous(others):
        detail = f"{len(values)} values ({_values(survey, values)}); training counts classes 0, 1, 2 ..."
        return [Finding("values with gaps", mend.folder, detail, mend.convert_anew)]
    if IGNORE in values:
        detail = f"{held(survey, IGNORE)}; is it ignored, or a class such as background?"
        return [Finding("255 is not explained", mend.folder, detail, mend.convert_anew)]
    return []


def _rare(survey: Survey, known: LabelMap | None, mend: Mending) -> tuple[list[Finding], list[Finding]]:
    """Return the rare values that no list explains, and the rare classes of the list."""
    problems, remarks = [], []
    for value in survey.ordered():
        label = known.find(value) if known else None
        if not is_rare(survey, value) or (label and label.ignore):
            continue
        name = written(survey.form, value) + (f" ({label.name})" if label else "")
        finding = Finding("in few files", name, held(survey, value), "" if label else mend.convert_anew)
        if label:
            remarks.append(finding)
        elif known is None or finding.where not in {one.where for one in _against(survey, known, mend)}:
            problems.append(finding)
    return problems, remarks


def _missing(
    labelled: Labelled, survey: Survey, known: LabelMap | None, mend: Mending
) -> tuple[list[Finding], list[Finding]]:
    """Return the classes that a split has not, and those that are in training but not in validation of a folder."""
    problems: list[Finding] = []
    remarks: list[Finding] = []
    splits = [split for split in labelled.splits if split in ("train", "val")]
    classes = [(label.value, label.name) for label in known.labels if not label.ignore] if known else [
        (value, written(survey.form, value)) for value in survey.ordered() if value != IGNORE or survey.form != "ids"
    ]  # fmt: skip
    for value, name in classes:
        found = survey.values.get(value, Value())
        absent = [split for split in splits if not found.total(split).files]
        if not found.total().files:
            problems.append(Finding("missing class", name, "in no label file", mend.convert))
        elif absent and len(splits) == 2:
            there = next(split for split in splits if split not in absent)
            files = found.total(there).files
            detail = f"not in {absent[0]}; in {files} files of {there}"
            problems.append(Finding("missing class", name, detail, mend.split_anew if files > 1 else mend.collect))
        else:
            remarks += _folders_without(survey, found, name)
    return problems, remarks


def _folders_without(survey: Survey, found: Value, name: str) -> list[Finding]:
    folders = {folder for _, folder in survey.files if folder}
    both = [folder for folder in sorted(folders) if {("train", folder), ("val", folder)} <= survey.files.keys()]
    lacking = [f for f in both if found.total("train", f).files and not found.total("val", f).files]
    return [Finding("missing class", name, f"not in val of source folder {folder}", "") for folder in lacking]


def _kind(survey: Survey) -> str:
    return "colours" if survey.form == "colours" else "values"


def _values(survey: Survey, values: list[int]) -> str:
    shown = ", ".join(f"{written(survey.form, value)} {percent(survey.share(value))}" for value in values[:12])
    return shown + (f" and {len(values) - 12} more" if len(values) > 12 else "")
