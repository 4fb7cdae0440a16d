"""What can be wrong with label files one by one and with their pairing, and the commands that mend it."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablata.data.label_tools.propose_map import percent
from ablata.data.label_tools.scan import same_files
from ablata.data.label_tools.survey import Survey, name_of
from ablata.data.labels.layout import USUAL, Labelled, Names
from ablata.data.labels.map import split_colour
from ablata.data.labels.table import written

_MOST_COLOURS = 255


@dataclass(frozen=True)
class Finding:
    """One thing that was found: what, where (a file, a value, a class), the detail, and what to do about it."""

    kind: str
    where: str
    detail: str = ""
    do: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Mending:
    """The commands that mend a folder, as they would be typed.

    Attributes:
        folder: as the user calls it.
        map: the label map or class list there is, or None.
        names: what its folders are called, where they need to be told.
    """

    folder: str
    map: str | None
    names: Names = USUAL

    @property
    def convert_anew(self) -> str:
        """Propose a map, edit it, convert."""
        return f"{self._propose}; look it through; {self._convert('map.yaml')}"

    @property
    def convert(self) -> str:
        """Edit the map there is, convert."""
        if self.map is None or not self._has_map:
            return self.convert_anew
        return f"add it to {shlex.quote(self.map)}, as a class or with `ignore: true`; {self._convert(self.map)}"

    @property
    def split_anew(self) -> str:
        """Convert with another split, in which every class is on both sides."""
        return self._with_map("--val 0.2 ")

    @property
    def collect(self) -> str:
        """Nothing mends a class of one image."""
        return "a class needs two images to be in both: add some, or merge or ignore the class in the label map"

    @property
    def paired(self) -> str:
        """Convert what has a partner."""
        return f"add what is missing, or leave them out: {self._with_map('--paired-only ')}"

    @property
    def nearest(self) -> str:
        """Convert to the nearest values of a map."""
        return f"export them again as PNG, or take the nearest values of a map: {self._with_map('--nearest ')}"

    @property
    def grey(self) -> str:
        """Convert by the colours of palettes."""
        return f"take the grey values instead: {self._with_map('--palette grey ')}"

    @property
    def _has_map(self) -> bool:
        return self.map is not None and self.map.endswith(("yaml", "yml"))

    @property
    def _propose(self) -> str:
        return f"ablata data check {self.place} --propose-map map.yaml"

    def _convert(self, file: str, flags: str = "") -> str:
        return f"ablata data convert {self.place} --map {shlex.quote(file)} {flags}--output NEW_FOLDER"

    @property
    def place(self) -> str:
        """The folder, with the names inside where they were told."""
        named = {"--images": self.names.images, "--labels": self.names.labels}
        return " ".join(
            [shlex.quote(self.folder), *(f"{key} {shlex.quote(name)}" for key, name in named.items() if name)]
        )

    def _with_map(self, flags: str) -> str:
        if self.map is not None and self._has_map:
            return self._convert(self.map, flags)
        return f"{self._convert('map.yaml', flags)} (map.yaml by {self._propose})"


def file_findings(survey: Survey, mend: Mending) -> tuple[list[Finding], list[Finding]]:
    """Return the problems and remarks of single label files."""
    repairs = {
        "unreadable": "repair or remove it",
        "mode": f"{mend.convert_anew} (colour files with three equal channels are read as values there)",
        "transparent": "export it again without transparency",
    }
    problems = [Finding(fault, where, detail, repairs[fault]) for fault, where, detail in survey.faults]
    for where, kind, values, shares in survey.lossy:
        loud = ", ".join(f"{written(survey.form, value)} {percent(share)}" for value, share in shares.items())
        problems.append(Finding("lossy", where, f"{kind}, {values} values: {loud}", mend.nearest))
    for where, size, image in survey.mismatched:
        detail = f"{size[0]}x{size[1]}, its image {image[0]}x{image[1]} (height x width)"
        problems.append(Finding("size", where, detail, "export it again at its image's size"))
    problems += [Finding("unreadable", file, "the image", "repair or remove it") for file in survey.unreadable_images]
    problems += [
        Finding("too many values", where, f"{values:,} values: a photograph, instance numbers, smoothed edges?",
                mend.nearest)
        for where, values in survey.crowded
    ]  # fmt: skip
    told, remarks = _modes(survey, mend)
    return problems + told, remarks + _sizes(survey)


def _modes(survey: Survey, mend: Mending) -> tuple[list[Finding], list[Finding]]:
    """Judge 16-bit and palette files: by what else is there."""
    problems, remarks = [], []
    deep = [value for value in survey.ordered() if value > 255] if survey.form == "ids" else []
    for mode in sorted(survey.modes):
        where = survey.mode_examples[mode]
        files = f"{survey.modes[mode]} of {sum(survey.modes.values())} files"
        if mode.startswith("I") and deep:
            some = ", ".join(f"{value} ({survey.values[value].examples[0][0]})" for value in deep[:6])
            problems.append(Finding("16 bits", where, f"{files}, values above 255: {some}", mend.convert_anew))
        elif mode.startswith("I"):
            remarks.append(Finding("16 bits", where, f"{files}; all values fit in 8 bits"))
    if survey.palettes and survey.form == "ids":
        told = _palettes(survey, mend)
        (problems if told.do else remarks).append(told)
    return problems, remarks


def _palettes(survey: Survey, mend: Mending) -> Finding:
    """Say what the indices of palette files stand for: a problem where other files hold values and not indices."""
    where, palette = next(iter(survey.palettes.items()))
    shown = ", ".join(f"{index} is {written('colours', code)}" for index, code in sorted(palette.items())[:8])
    files = f"{survey.modes['P']} of {sum(survey.modes.values())} files hold indices, which are taken: {shown}"
    greys = [split_colour(code) for code in palette.values()]
    grey = all(red == green == blue for red, green, blue in greys)
    mixed = len(survey.modes) > 1 and any(index != grey_of[0] for index, grey_of in zip(palette, greys, strict=True))
    if not mixed:
        return Finding("palette", where, files)
    return Finding(
        "palette", where, f"{files}; the other files are greyscale", mend.grey if grey else mend.convert_anew
    )


def _sizes(survey: Survey) -> list[Finding]:
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
    return [Finding("sizes", "label files", detail, "training cuts them: data.augment.crop")]


def pair_findings(labelled: Labelled, survey: Survey, mend: Mending) -> tuple[list[Finding], list[Finding]]:
    """Return the problems and remarks of pairs: files that stand alone, files that are there twice, no split."""
    root = labelled.root
    problems: list[Finding] = []
    remarks: list[Finding] = []
    for sample in labelled.samples:
        if sample.label is None:
            problems.append(Finding("no label file", name_of(sample.image, root), "", mend.paired))
        elif sample.image is None:
            problems.append(Finding("no image", name_of(sample.label, root), "", mend.paired))
    twice = "another suffix comes first"
    problems += [Finding("two of a name", name_of(file, root), twice, "remove one") for file in labelled.twins]
    told, also = _repeated(labelled, survey)
    problems, remarks = problems + told, remarks + also
    if labelled.strays:
        files = ", ".join(name_of(file, root) for file in labelled.strays[:3])
        remarks.append(Finding("no image", files, f"{len(labelled.strays)} files, left alone"))
    if labelled.splits == ("",):
        remarks.append(Finding("not split", mend.folder, "no train and val", mend.split_anew))
    elif "val" not in labelled.splits or "train" not in labelled.splits:
        problems.append(Finding("not split", mend.folder, f"only {', '.join(labelled.splits)}", mend.split_anew))
    return problems, remarks


def _repeated(labelled: Labelled, survey: Survey) -> tuple[list[Finding], list[Finding]]:
    """Return images that are there twice, and label files that are equal though they are not of one value."""
    splits = {sample.image: sample.split for sample in labelled.samples if sample.image is not None}
    problems, remarks = [], []
    images: set[Path] = set()
    for group in same_files(list(splits)):
        names = _names(group, labelled.root)
        images.update(group[1:])
        if len({splits[file] for file in group}) > 1:
            problems.append(Finding("in two splits", names, "one image", "remove all but one, with their label files"))
        else:
            remarks.append(Finding("there twice", names, "one image"))
    for rows in survey.digests.values():
        alike = [labelled.samples[row] for row in rows if labelled.samples[row].image not in images]
        if len(alike) > 1:
            files = [sample.label for sample in alike if sample.label is not None]
            remarks.append(Finding("there twice", _names(files, labelled.root), "one label for different images"))
    return problems, remarks


def _names(files: Sequence[Path], root: Path) -> str:
    shown = " = ".join(name_of(file, root) for file in files[:3])
    return shown + (f" = {len(files) - 3} more" if len(files) > 3 else "")
