"""Checking the label files of a folder: what they hold, and what is wrong, by file, with the command that mends it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablata.base.errors import listing
from ablata.base.quantities import counted
from ablata.data.io.decode import RULES, ImageRules
from ablata.data.label_tools.accidents import instances, smoothed
from ablata.data.label_tools.finding import LabelFinding, Mending
from ablata.data.label_tools.image_findings import image_findings, pairing
from ablata.data.label_tools.propose_map import is_contiguous, is_rare, percent
from ablata.data.label_tools.survey import Survey, Value, name_of
from ablata.data.labels.layout import USUAL, FolderNames, LabeledFolder
from ablata.data.labels.map import Label, LabelMap, split_color
from ablata.data.labels.mask_files import palette_advice
from ablata.data.labels.table import TRANSPARENT, written_value
from ablata.data.loading.report import alike_classes
from ablata.data.loading.shared_images import IN_TWO_SPLITS
from ablata.structures.ignore import IGNORE


def file_findings(survey: Survey, mend: Mending) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Return the problems and remarks of single label files."""
    repairs = {
        "unreadable": "repair or remove it",
        "pages": "write each image into a file of its own",
        "transparent": f"export it again without smoothed edges, or: {mend.nearest}",
    }
    problems = [
        LabelFinding(fault, where, detail, repairs.get(fault) or _mode_repair(detail, survey, mend))
        for fault, where, detail in survey.faults
    ]
    for where, kind, values, fractions in survey.lossy:
        loud = ", ".join(
            f"{written_value(survey.form, value)} {percent(fraction)}" for value, fraction in fractions.items()
        )
        problems.append(LabelFinding("lossy", where, f"{kind}, {counted(values, 'value')}: {loud}", mend.nearest))
    for where, size, image, do in survey.mismatched:
        detail = f"{size[0]}x{size[1]}, its image {image[0]}x{image[1]} (height x width)"
        problems.append(LabelFinding("size", where, detail, do))
    drawn, numbered = smoothed(survey), instances(survey)
    if drawn:
        detail = (
            f"{len(survey.values)} values, of which {len(survey.values) - len(drawn)} are only at edges, between "
            f"{_values(survey, drawn)}: resized with a filter, which must be nearest for label files"
        )
        problems.append(LabelFinding("smoothed", mend.folder, detail, mend.smoothed))
    if numbered:
        many = counted(len(survey.values), "value")
        if numbered.base:
            shown = ", ".join(map(str, numbered.classes[:8]))
            detail = f"{many} are numbers of objects, class * {numbered.base} + object; classes {shown}"
            problems.append(LabelFinding("instances", mend.folder, detail, mend.divided(numbered.base)))
        else:
            detail = f"{many} are numbers of objects (instances), which say nothing of classes"
            do = "export a mask of classes; to detect the objects, a set of boxes with masks (data=coco, penn_fudan)"
            problems.append(LabelFinding("instances", mend.folder, detail, do))
    problems += [
        LabelFinding("too many values", where, f"{counted(values, 'value')}: a photograph?", "look at it, or remove it")
        for where, values in survey.crowded
        if not drawn and not numbered
    ]
    told, remarks = _modes(survey, mend)
    return problems + told, remarks + _sizes(survey)


def _mode_repair(detail: str, survey: Survey, mend: Mending) -> str:
    """Say what to do about a file whose pixels are of another kind than the others'."""
    if detail not in ("RGB", "RGBA"):
        return "export it again as greyscale of whole numbers" if survey.form == "ids" else "export it again as RGB"
    return f"{mend.convert_anew} (colour files with three equal channels are read as values there)"


def _modes(survey: Survey, mend: Mending) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Judge 16-bit and palette files: by what else is there."""
    problems, remarks = [], []
    deep = [value for value in survey.ordered() if 255 < value != TRANSPARENT] if survey.form == "ids" else []
    deep = [] if instances(survey) else deep
    for mode in sorted(survey.modes):
        where = survey.mode_examples[mode]
        files = f"{survey.modes[mode]} of {counted(sum(survey.modes.values()), 'file')}"
        if mode.startswith("I") and deep:
            some = ", ".join(f"{value} ({survey.values[value].examples[0][0]})" for value in deep[:6])
            problems.append(LabelFinding("16 bits", where, f"{files}, values above 255: {some}", mend.convert_anew))
        elif mode.startswith("I") and not instances(survey):
            remarks.append(LabelFinding("16 bits", where, f"{files}; all values fit in 8 bits"))
    if survey.agreed.conflict:
        files = f"{survey.modes['P']} palette files"
        detail = f"{survey.agreed.conflict}; indices are taken as classes"
        problems.append(LabelFinding("palettes differ", files, detail, palette_advice(mend.place)))
    elif survey.palettes and survey.form == "ids":
        told = _palettes(survey, mend)
        (problems if told.do else remarks).append(told)
    return problems, remarks


def _palettes(survey: Survey, mend: Mending) -> LabelFinding:
    """Say what the indices of palette files stand for: a problem where other files hold values and not indices."""
    where, palette = next(iter(survey.palettes.items()))
    shown = ", ".join(f"{index} is {written_value('colors', code)}" for index, code in sorted(palette.items())[:8])
    files = f"{survey.modes['P']} of {sum(survey.modes.values())} files hold indices, which are taken: {shown}"
    greys = [split_color(code) for code in palette.values()]
    grey = all(red == green == blue for red, green, blue in greys)
    mixed = len(survey.modes) > 1 and any(index != grey_of[0] for index, grey_of in zip(palette, greys, strict=True))
    if not mixed:
        return LabelFinding("palette", where, files)
    return LabelFinding(
        "palette", where, f"{files}; the other files are greyscale", mend.grey if grey else mend.convert_anew
    )


def _sizes(survey: Survey) -> list[LabelFinding]:
    if len(survey.sizes) < 2:
        return []
    often = survey.sizes.most_common(6)
    shown = ", ".join(f"{height}x{width} in {files}" for (height, width), files in sorted(often))
    more = f" and {len(survey.sizes) - 6} more" if len(survey.sizes) > 6 else ""
    near = any(
        0 < max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 2 for a, b in itertools.combinations(list(survey.sizes)[:64], 2)
    )
    close = "; some are a pixel or two apart" if near else ""
    detail = f"{len(survey.sizes)} sizes (height x width): {shown} files{more}{close}"
    return [LabelFinding("sizes", "label files", detail, "training cuts them: data.augment.crop")]


def pair_findings(
    labelled: LabeledFolder, survey: Survey, mend: Mending
) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Return the problems and remarks of pairs: files that stand alone, files that are there twice, no split."""
    root = labelled.root
    problems: list[LabelFinding] = []
    remarks: list[LabelFinding] = []
    named, explained = pairing(labelled)
    problems += named
    bare = [sample for sample in labelled.samples if sample.split == "test" and sample.label is None]
    if bare:
        tested = sum(sample.split == "test" for sample in labelled.samples)
        detail = f"{len(bare)} of {tested} images of test have no label file: they can be predicted, and have no score"
        remarks.append(LabelFinding("no label file", name_of(bare[0].image, root), detail))
    for sample in labelled.samples:
        if sample in explained or (sample.label is None and sample.split == "test"):
            continue
        if sample.label is None:
            problems.append(LabelFinding("no label file", name_of(sample.image, root), "", mend.paired))
        elif sample.image is None:
            problems.append(LabelFinding("no image", name_of(sample.label, root), "", mend.paired))
    twice = "another suffix comes first"
    problems += [LabelFinding("two of a name", name_of(file, root), twice, "remove one") for file in labelled.twins]
    told, also = _repeated(labelled, survey)
    problems, remarks = problems + told, remarks + also
    remarks += _not_counted(labelled)
    if labelled.strays:
        files = ", ".join(name_of(file, root) for file in labelled.strays[:3])
        remarks.append(LabelFinding("no image", files, f"{counted(len(labelled.strays), 'file')}, left alone"))
    if labelled.splits == ("",):
        remarks.append(LabelFinding("not split", mend.folder, "no train and val", mend.split_anew))
    elif "val" not in labelled.splits or "train" not in labelled.splits:
        problems.append(LabelFinding("not split", mend.folder, f"only {', '.join(labelled.splits)}", mend.split_anew))
    return problems, remarks


def _not_counted(labelled: LabeledFolder) -> list[LabelFinding]:
    """Remark on files that are in no split, and on pairs and lists that are not quite what they seem."""
    remarks = []
    if labelled.left_out:
        detail = f"{len(labelled.left_out)} images and label files are in no split (train, val, test)"
        remarks.append(LabelFinding("left out", labelled.named(labelled.left_out), detail,
                                    "move them into the folders, or the lists, of a split"))  # fmt: skip
    if labelled.recased:
        first = labelled.recased[0]
        label = name_of(first.label, labelled.root)
        many = counted(len(labelled.recased), "pair has", "pairs have")
        detail = f"{many} names that differ in capitals or accents: {label}"
        remarks.append(LabelFinding("names", name_of(first.image, labelled.root), detail))
    return remarks + [LabelFinding("list of a split", said) for said in labelled.lists]


def _repeated(labelled: LabeledFolder, survey: Survey) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Return images that are there twice, and label files that are equal though they are not of one value."""
    problems, remarks = [], []
    images: set[Path] = set()
    for rows in survey.pixels_of.values():
        group = [(labelled.samples[row].split, labelled.samples[row].image) for row in rows]
        files = [file for _, file in group if file is not None]
        if len(files) < 2:
            continue
        names = _names(files, labelled.root)
        images.update(files[1:])
        if len({split for split, _ in group}) > 1:
            problems.append(
                LabelFinding(IN_TWO_SPLITS, names, "one image", "remove all but one, with their label files")
            )
        else:
            remarks.append(LabelFinding("there twice", names, "one image"))
    for rows in survey.digests.values():
        alike = [labelled.samples[row] for row in rows if labelled.samples[row].image not in images]
        if len(alike) > 1:
            files = [sample.label for sample in alike if sample.label is not None]
            remarks.append(LabelFinding("there twice", _names(files, labelled.root), "one label for different images"))
    return problems, remarks


def _names(files: Sequence[Path], root: Path) -> str:
    shown = " = ".join(name_of(file, root) for file in files[:3])
    return shown + (f" = {len(files) - 3} more" if len(files) > 3 else "")


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

    labelled: LabeledFolder
    survey: Survey
    label_map: LabelMap | None
    problems: tuple[LabelFinding, ...]
    remarks: tuple[LabelFinding, ...]

    def rows(self) -> list[tuple[int, Label | None, Value]]:
        """Return each value, what it is, and its counts: mapped ones by id, then the others."""
        survey = self.survey
        found = [(value, self.label_map and self.label_map.find(value)) for value in survey.ordered()]
        found.sort(key=lambda row: (row[1] is None, row[1].id if row[1] else 0))
        return [(value, label or None, survey.values[value]) for value, label in found]

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        survey = self.survey

        def plain(findings: Iterable[LabelFinding]) -> list[dict[str, str]]:
            return [
                {"kind": finding.kind, "where": finding.where, "detail": finding.detail, "do": finding.do}
                for finding in findings
            ]

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
            "value": written_value(self.survey.form, value),
            "id": label.id if label else None,
            "name": label.name if label else None,
            "ignore": label.ignore if label else None,
            "pixels": found.total().pixels,
            "files": found.total().files,
            "fraction": self.survey.fraction(value),
            "places": places,
        }


def judge(
    labelled: LabeledFolder,
    survey: Survey,
    known: LabelMap | None,
    folder: str,
    names: FolderNames = USUAL,
    settings: tuple[str, ...] = (),
    rules: ImageRules = RULES,
) -> LabelReport:
    """Check a folder of label files and report what is wrong with it.

    Args:
        labelled: its files.
        survey: what the label files hold.
        known: what the values should be, or None where nothing says so.
        folder: the folder as the user calls it, for the commands that mend.
        names: what the user says its folders are called.
        settings: how files are read, as the user says it.
        rules: how images were decoded.
    """
    pairs = any(sample.image and sample.label for sample in labelled.samples)
    mend = Mending(folder, known.source if known else None, names, settings, pairs)
    problems, remarks = image_findings(survey, rules)
    for more, also in (file_findings(survey, mend), pair_findings(labelled, survey, mend)):
        problems, remarks = problems + more, remarks + also
    if known is not None and known.form != survey.form:
        detail = f"lists {known.form}, the label files hold {survey.form}"
        problems.append(LabelFinding("class list", known.source, detail, mend.convert_anew))
        known = None
    elif known is not None:
        problems += _against(survey, known, mend)
    else:
        problems += _without_list(survey, mend)
    if survey.values and not any(problem.kind in _NO_CLASSES for problem in problems):
        problems += _one_class(survey, known, mend)
    told, also = _rare(survey, known, mend)
    problems, remarks = problems + told, remarks + also
    if alike := alike_classes(known.names if known else ()):
        remarks.append(LabelFinding("class list", known.source if known else "", alike))
    absent, elsewhere = _missing(labelled, survey, known if known and not is_wrong_list(survey, known) else None, mend)
    return LabelReport(labelled, survey, known, tuple(problems + absent), tuple(remarks + elsewhere))


_NO_CLASSES = ("class list", "smoothed", "instances")


def _one_class(survey: Survey, known: LabelMap | None, mend: Mending) -> list[LabelFinding]:
    """Refuse a set of one class, of which every pixel that counts is right."""
    names = set(known.names) if known else {
        written_value(survey.form, value) for value in survey.ordered() if value != IGNORE or survey.form != "ids"
    }  # fmt: skip
    held = names
    if known:
        held = {label.name for label in known.labels if not label.ignore and label.value in survey.values}
    if len(names) > 1 and len(held) > 1:
        return []
    detail = "one class is all that counts: mIoU would be 100 whatever is predicted"
    do = f"make the rest a class of its own, such as background: {mend.convert}" if known else mend.convert_anew
    return [LabelFinding("one class", listing(sorted(held or names)), detail, do)]


def _against(survey: Survey, known: LabelMap, mend: Mending) -> list[LabelFinding]:
    """Compare the values with the list."""
    strange = [value for value in survey.ordered() if known.find(value) is None]
    if smoothed(survey) or instances(survey):
        return []
    unused = [label for label in known.labels if label.value not in survey.values]
    if is_wrong_list(survey, known):
        detail = (
            f"{len(unused)} of its {len(known.labels)} {_kind(survey)} are in no label file ("
            + ", ".join(f"{label.name} {known.written_value(label.value)}" for label in unused[:8])
            + f"); {len(strange)} that are there are not in it ({_values(survey, strange)})"
        )
        return [LabelFinding("class list", known.source, detail, mend.convert_anew)]
    return [_unexpected(survey, value, mend) for value in strange]


def is_wrong_list(survey: Survey, known: LabelMap) -> bool:
    """Tell whether a class list is of other files: most of it is in no label file, and there is what it has not."""
    unused = sum(label.value not in survey.values for label in known.labels)
    return 2 * unused > len(known.labels) and any(known.find(value) is None for value in survey.values)


def _unexpected(survey: Survey, value: int, mend: Mending) -> LabelFinding:
    return LabelFinding("unexpected value", written_value(survey.form, value), held(survey, value), mend.convert)


def held(survey: Survey, value: int) -> str:
    """Say how much of the label files a value takes, and name files with their fraction."""
    total, files = survey.values[value].total(), sum(survey.files.values())
    examples = survey.values[value].examples
    shown = ", ".join(f"{name} {percent(fraction)}" for name, fraction in examples[:_SHOWN])
    more = f" and {total.files - _SHOWN} more" if total.files > _SHOWN else ""
    return (
        f"in {total.files} of {counted(files, 'file')}, {percent(survey.fraction(value))} of all pixels: {shown}{more}"
    )


def _without_list(survey: Survey, mend: Mending) -> list[LabelFinding]:
    """Judge the values where nothing says what they are."""
    values = survey.ordered()
    if not values or smoothed(survey) or instances(survey):
        return []
    if survey.form == "colors":
        detail = f"{counted(len(values), 'colour')} ({_values(survey, values)})"
        return [LabelFinding("no class list", mend.folder, detail, mend.convert_anew)]
    others = [value for value in values if value != IGNORE]
    if not is_contiguous(others):
        detail = f"{counted(len(values), 'value')} ({_values(survey, values)}); training counts classes 0, 1, 2 ..."
        return [LabelFinding("values with gaps", mend.folder, detail, mend.convert_anew)]
    if IGNORE in values:
        detail = f"{held(survey, IGNORE)}; is it ignored, or a class such as background?"
        return [LabelFinding("255 is not explained", mend.folder, detail, mend.convert_anew)]
    return []


def _rare(survey: Survey, known: LabelMap | None, mend: Mending) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Return the rare values that no list explains, and the rare classes of the list."""
    problems, remarks = [], []
    drawn = smoothed(survey)
    for value in survey.ordered() if not instances(survey) else ():
        label = known.find(value) if known else None
        if drawn and value not in drawn:
            continue
        if not is_rare(survey, value) or (label and label.ignore):
            continue
        name = written_value(survey.form, value) + (f" ({label.name})" if label else "")
        finding = LabelFinding("in few files", name, held(survey, value), "" if label else mend.convert_anew)
        if label:
            remarks.append(finding)
        elif known is None or finding.where not in {one.where for one in _against(survey, known, mend)}:
            problems.append(finding)
    return problems, remarks


def _missing(
    labelled: LabeledFolder, survey: Survey, known: LabelMap | None, mend: Mending
) -> tuple[list[LabelFinding], list[LabelFinding]]:
    """Return the classes that a split has not, and those that are in training but not in validation of a folder."""
    problems: list[LabelFinding] = []
    remarks: list[LabelFinding] = []
    if not survey.values:
        return problems, remarks
    splits = [split for split in labelled.splits if split in ("train", "val")]
    drawn = smoothed(survey) or ([] if instances(survey) else survey.ordered())
    classes = [(label.value, label.name) for label in known.labels if not label.ignore] if known else [
        (value, written_value(survey.form, value)) for value in drawn if value != IGNORE or survey.form != "ids"
    ]  # fmt: skip
    for value, name in classes:
        found = survey.values.get(value, Value())
        absent = [split for split in splits if not found.total(split).files]
        if not found.total().files:
            problems.append(LabelFinding("missing class", name, "in no label file", mend.convert))
        elif splits and absent == splits:
            problems.append(LabelFinding("missing class", name, f"in no file of {' or '.join(splits)}", mend.collect))
        elif absent and len(splits) == 2:
            there = next(split for split in splits if split not in absent)
            files = found.total(there).files
            detail = f"not in {absent[0]}; in {counted(files, 'file')} of {there}"
            problems.append(LabelFinding("missing class", name, detail, mend.split_anew if files > 1 else mend.collect))
        else:
            remarks += _folders_without(survey, found, name)
    return problems, remarks


def _folders_without(survey: Survey, found: Value, name: str) -> list[LabelFinding]:
    folders = {folder for _, folder in survey.files if folder}
    both = [folder for folder in sorted(folders) if {("train", folder), ("val", folder)} <= survey.files.keys()]
    lacking = [f for f in both if found.total("train", f).files and not found.total("val", f).files]
    return [LabelFinding("missing class", name, f"not in val of source folder {folder}", "") for folder in lacking]


def _kind(survey: Survey) -> str:
    return "colors" if survey.form == "colors" else "values"


def _values(survey: Survey, values: list[int]) -> str:
    shown = ", ".join(f"{written_value(survey.form, value)} {percent(survey.fraction(value))}" for value in values[:12])
    return shown + (f" and {len(values) - 12} more" if len(values) > 12 else "")
