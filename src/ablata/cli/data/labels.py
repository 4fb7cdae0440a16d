"""What `ablata data` does with a folder of images and label files: check, count, convert, draw."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ablata.base.errors import DataError, SettingsError, listing, nearest
from ablata.base.files import refuse_no_image
from ablata.base.quantities import counted
from ablata.cli.console import err, note, out, print_json

if TYPE_CHECKING:
    from ablata.data.io.decode import ImageRules
    from ablata.data.label_tools.check import LabelReport
    from ablata.data.label_tools.finding import LabelFinding
    from ablata.data.labels.layout import FolderNames, LabeledFolder
    from ablata.data.labels.map import LabelMap
    from ablata.data.labels.table import Form
    from ablata.data.segmentation.mask_folder import MaskFolder, PairFiles

_SHOWN = 12
_MOST_FOLDERS = 24
_SILENCE_SECONDS = 10.0


@dataclass(frozen=True)
class LabelFolder:
    """What a command line says about a folder: the folder, the names inside, the map, the form, processes, and settings
    of how its files are read, such as `data.mask_suffix=_mask`."""

    folder: str
    images: str | None = None
    labels: str | None = None
    map: Path | None = None
    form: str | None = None
    workers: int | None = None
    settings: tuple[str, ...] = ()
    found: PairFiles | None = None
    """The files of a recipe's or kind's set, where that is asked about and no folder."""
    data_rules: ImageRules | None = None
    """How that set's images are read."""

    @property
    def names(self) -> FolderNames:
        """Return what the folders inside are called."""
        from ablata.data.labels.layout import FolderNames

        data = self.data
        if data is None:
            return FolderNames(self.images, self.labels)
        told = data.folder_names()
        return replace(told, images=self.images or told.images, labels=self.labels or told.labels)

    def with_usual_names(self) -> Self:
        """Return the same, with what masks beside their images are called where nothing else is said."""
        from ablata.data.labels.layout import BESIDE, masks_beside

        place = Path(self.folder).expanduser()
        if self.images or self.labels or not place.is_dir() or not masks_beside(place):
            return self
        return replace(self, images=".", labels=".", settings=(*self.settings, f"data.mask_suffix={BESIDE}"))

    @cached_property
    def data(self) -> MaskFolder | None:
        """Return the settings of how files are read; None: the usual ones.

        Raises:
            SettingsError: a setting is none of a folder's of images and masks.
        """
        if not self.settings:
            return None
        from ablata.cli.data.named import named_recipe
        from ablata.data.segmentation.mask_folder import MaskFolder

        if wrong := [setting for setting in self.settings if not setting.startswith("data.")]:
            raise SettingsError("A folder takes settings of its data alone", found=" ".join(wrong),
                                do="data.mask_suffix=_mask")  # fmt: skip
        data = getattr(named_recipe("mask_folder", list(self.settings)), "data", None)
        assert isinstance(data, MaskFolder)
        return data

    @property
    def rules(self) -> ImageRules:
        """Return how images become 8-bit RGB."""
        from ablata.data.io.decode import RULES

        if self.data_rules is not None:
            return self.data_rules
        return RULES if self.data is None else self.data.image_rules()

    def fits(self) -> bool:
        """Tell whether the folder holds label files; one of whole images in folders by class does not.

        Raises:
            DataError: there is nothing of either kind.
        """
        from ablata.base.home import lab_cache
        from ablata.data.labels.layout import FolderNames, is_labelled
        from ablata.data.loading.locate import find_root

        names = FolderNames(self.images, self.labels)

        def fitting(folder: Path) -> bool:
            return is_labelled(folder, names)

        cache = lab_cache()
        try:
            find_root(self.folder, default=None, fits=fitting, layout="", cache=cache)
        except DataError:
            find_root(self.folder, default=None, fits=self._of_images, layout=self._layouts(), cache=cache)
            return False
        return True

    def _of_images(self, folder: Path) -> bool:
        """Tell whether a folder is a set of whole images; not where folders of label files are asked for."""
        from ablata.data.classification.image_folder import has_layout
        from ablata.data.classification.shards import has_shards
        from ablata.data.formats.image_list import fits
        from ablata.data.formats.recognize import holds_identities

        ways = (has_layout, has_shards, fits, holds_identities)
        return self.labels is None and any(way(folder) for way in ways)

    def _layouts(self) -> str:
        from ablata.data.classification.image_folder import LAYOUT as BY_CLASS
        from ablata.data.classification.shards import LAYOUT as IN_TARS
        from ablata.data.labels.layout import LAYOUT

        if self.labels:
            return f"{self.images or 'images'} beside {self.labels}"
        from ablata.data.formats.image_list import LAYOUT as LISTED
        from ablata.data.formats.recognize import box_formats
        from ablata.data.reid.layouts import MARKET, NAMED

        usual = f"{LAYOUT} (--images and --labels give other names)"
        return "; or ".join((usual, BY_CLASS, IN_TARS, LISTED, MARKET, NAMED, box_formats()))

    def listed(self) -> LabeledFolder:
        """List the files.

        Raises:
            DataError: there is no such folder, or it has not the layout.
        """
        from ablata.base.home import lab_cache
        from ablata.data.labels.layout import find_labeled_folder

        if self.found is not None:
            from ablata.data.segmentation.mask_folder import labeled_folder_of

            return labeled_folder_of(self.found)
        return find_labeled_folder(self.folder, self.names, lab_cache())

    def read_as(self, guess: Form) -> Form:
        """Return what label files are read as: the option, else the guess.

        Raises:
            SettingsError: the option is neither ids nor colours.
        """
        if self.form not in (None, "ids", "colors"):
            raise SettingsError(
                "--form must be ids or colors",
                found=f"--form {self.form}",
                do="--form ids, or --form colors for masks in colours",
            )
        return "ids" if self.form == "ids" else "colors" if self.form else guess

    def known(self, labelled: LabeledFolder) -> LabelMap | None:
        """Return what the values should be: by the option, else by the folder's own list; None where there is none.

        Raises:
            DataError: the list cannot be read.
        """
        from ablata.data.labels.class_lists import find_list, map_of, read_list

        if self.found is not None and self.map is None:
            return map_of(self.found.table, f"the class list of {self.folder}")
        own = Path(self.data.map).expanduser() if self.data is not None and self.data.map else None
        file = self.map or own or find_list(labelled.root)
        if file is None:
            return None
        found = read_list(file, () if self.data is None else self.data.ignored)
        # A zip is read from the cache: its list is named by where the user sees it.
        return found if self.map or own else replace(found, source=f"{self.folder}/{file.name}")

    def report(self) -> LabelReport:
        """Read every label file.

        Raises:
            DataError: the folder or the map cannot be read.
            SettingsError: the form is none.
        """
        from ablata.data.label_tools.check import judge
        from ablata.data.label_tools.scan import LENIENT, ReadOptions, guess_form
        from ablata.data.label_tools.survey import survey

        labelled = self.listed()
        known = self.known(labelled)
        form = self.read_as(guess_form(labelled.samples, known))
        with Bar("label files") as bar:
            found = survey(labelled, ReadOptions(form, LENIENT, self.rules), workers=self.workers, tell=bar.tell)
        return judge(labelled, found, known, self.folder, self.names, self.settings, self.rules)


class Bar(AbstractContextManager["Bar"]):
    """Progress over files: a bar in a terminal, a line now and then elsewhere."""

    def __init__(self, what: str) -> None:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=err, disable=not err.is_terminal, transient=True)
        self._task, self._what, self._said = self._bar.add_task(what, total=None), what, time.monotonic()

    def tell(self, done: int, total: int) -> None:
        """Show how many are done."""
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
        if not err.is_terminal and time.monotonic() - self._said > _SILENCE_SECONDS:
            self._said = time.monotonic()
            note(f"{done:,} of {total:,} {self._what}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()


def check_labels(chosen: LabelFolder, propose: Path | None, json: bool) -> None:
    """Check a folder, print what was found, and write a proposed map where one is asked for.

    Raises:
        SettingsError: the file to write a map into exists.
        typer.Exit: something is wrong with the folder.
    """
    from ablata.base.files import write_text
    from ablata.data.label_tools.finding import Mending
    from ablata.data.label_tools.propose_map import propose as proposed

    if propose is not None and propose.exists():
        raise SettingsError("The file to propose a map in must not be there yet: it may have been edited",
                            found=str(propose), do="choose another name, or remove it")  # fmt: skip
    report = chosen.report()
    if propose is not None:
        _, text = proposed(report.survey, report.label_map)
        write_text(propose, text)
    if json:
        print_json(report.as_dict())
    else:
        show_report(report)
    if propose is not None:
        place = Mending(chosen.folder, None, chosen.names).place
        note(f"written: {propose}; look it through, then: ablata data convert {place} --map {propose} "
             "--output NEW_FOLDER")  # fmt: skip
    if report.problems:
        raise typer.Exit(1)


def counted_problems(count: int) -> str:
    """Return `no problems`, `1 problem`, `2 problems`."""
    return counted(count, "problem") if count else "no problems"


def show_report(report: LabelReport) -> None:
    """Print what a folder holds and what is wrong with it."""
    from ablata.reports.console import show

    survey, labelled = report.survey, report.labelled
    for split in labelled.splits:
        pairs = sum(1 for sample in labelled.samples if sample.split == split and sample.image and sample.label)
        out.print(Text(f"{split or 'all'}: {counted(pairs, 'pair')} of image and label file"))
    modes = ", ".join(f"{mode} {files:,}" for mode, files in survey.modes.most_common())
    source = f"; by {report.label_map.source}" if report.label_map else ""
    out.print(Text(f"label files: {sum(survey.files.values()):,} ({modes}), read as {survey.form}{source}"))
    show(_values(report), out)
    folders = _folders(report)
    if folders is not None:
        show(folders, out)
    _tell(report.problems, "problem")
    _tell(report.remarks, "note")
    out.print(Text(counted_problems(len(report.problems))))


def _values(report: LabelReport) -> Table:
    """Return each value with its fraction of every split."""
    from ablata.data.label_tools.propose_map import percent

    splits = report.labelled.splits
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("value", "id", "class"):
        table.add_column(title)
    for split in splits:
        table.add_column(f"{split} pixels".strip(), justify="right")
        table.add_column(f"{split} files".strip(), justify="right")
    for value, label, found in report.rows()[:256]:
        cells = [report.survey.written_value(value)]
        cells += [str(label.id), label.name + (" (ignored)" if label.ignore else "")] if label else ["-", "?"]
        for split in splits:
            count = found.total(split)
            cells += [percent(report.survey.fraction(value, split)), f"{count.files:,}"]
        table.add_row(*map(Text, cells))
    return table


def _folders(report: LabelReport) -> Table | None:
    """Return the files of each class by source folder, where there are several and not too many."""
    survey = report.survey
    places = sorted(survey.files)
    if not 1 < len({folder for _, folder in places}) <= _MOST_FOLDERS:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold", title="label files with each value, by source folder")
    table.add_column("source folder")
    rows = report.rows()[:_SHOWN]
    for value, label, _ in rows:
        table.add_column(label.name if label else survey.written_value(value), justify="right")
    for split, folder in places:
        counts = [found.total(split, folder).files for _, _, found in rows]
        table.add_row(Text(f"{split}/{folder}".strip("/") or "."), *(Text(f"{count:,}") for count in counts))
    return table


def _tell(findings: tuple[LabelFinding, ...], what: str) -> None:
    """Print findings, those of one kind together with what mends them, and count what would be too long a list."""
    for kind in dict.fromkeys(finding.kind for finding in findings):
        alike = [finding for finding in findings if finding.kind == kind]
        for finding in alike[:_SHOWN]:
            out.print(Text(f"{what}: {finding}"))
        if len(alike) > _SHOWN:
            out.print(Text(f"{what}: {kind}: and {len(alike) - _SHOWN:,} more (--json lists all)"))
        for do in dict.fromkeys(finding.do for finding in alike if finding.do):
            out.print(Text(f"  do: {do}"))


def count_labels(chosen: LabelFolder, weighting: str | None, beta: float | None, json: bool) -> None:
    """Print how often each class is there, and the weights that are asked for.

    Raises:
        SettingsError: there is no such weighting.
        DataError: nothing says which value is which class.
    """
    from ablata.data.label_tools.statistics import ADVISED_RATIO, WEIGHTINGS, statistics
    from ablata.reports.console import show

    kind = next((name for name in WEIGHTINGS if name == weighting), None)
    if weighting is not None and kind is None:
        close = nearest(weighting, WEIGHTINGS)
        raise SettingsError(f"--weights must be one of {listing(WEIGHTINGS)}", found=weighting,
                            do=f"did you mean {close}?" if close else "choose one of them")  # fmt: skip
    found = statistics(chosen.report())
    if json:
        print_json(found.as_dict())
        return
    weights = found.weights(kind, beta) if kind else None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class")
    for split in found.pixels:
        for title in ("pixels", "fraction", "images"):
            table.add_column(f"{split} {title}".strip(), justify="right")
    if weights is not None:
        table.add_column("weight", justify="right")
    for at, class_ in enumerate(found.classes):
        cells = [class_.name]
        for split, count in class_.splits.items():
            fraction, images = count.pixels / max(found.pixels[split], 1), count.files / max(found.files[split], 1)
            cells += [f"{count.pixels:,}", f"{fraction:.2%}", f"{images:.0%}"]
        table.add_row(*map(Text, [*cells, *([] if weights is None else [f"{weights[at]:.4g}"])]))
    show(table, out)
    void = ", ".join(f"{split or 'all'} {pixels:,}" for split, pixels in found.ignored.items())
    out.print(Text(f"ignored pixels: {void}"))
    advised = found.ratio > ADVISED_RATIO
    out.print(Text(
        f"largest over smallest class: {found.ratio:.4g}; weights are {'advised' if advised else 'not needed'} "
        f"(above {ADVISED_RATIO:g})" + ("" if weights is not None or not advised else ": --weights most-frequent")
    ))  # fmt: skip
    if weights is not None:
        out.print(Text(f"loss.weights=[{','.join(f'{value:.5g}' for value in weights)}]"))


def convert_labels(chosen: LabelFolder, output: Path, **how: Any) -> None:
    """Convert a folder by a map.

    Raises:
        SettingsError: the palette is to be read in no known way.
        DataError: a file does not fit the map.
    """
    from ablata.data.label_tools.convert import Conversion, convert
    from ablata.data.labels.class_lists import read_list

    assert chosen.map is not None
    if how["palette"] not in (None, "index", "grey"):
        raise SettingsError(
            "--palette must be index or grey",
            found=f"--palette {how['palette']}",
            do="--palette index keeps colours, grey the bare ids",
        )
    conversion = Conversion(label_map=read_list(chosen.map), rules=chosen.rules, **how)
    with Bar("label files") as bar:
        done = convert(chosen.listed(), conversion, output, workers=chosen.workers, tell=bar.tell)
    label_map = conversion.label_map
    total = sum(done.pixels.values())
    ignored = {label.id: label.name for label in label_map.labels if label.ignore}
    for number, name in ignored.items():
        note(f"ignored: id {number}, {name}, {done.pixels[number] / max(total, 1):.3%} of the pixels")
    if done.moved:
        note(f"{counted(done.moved, 'pixel')} ({done.moved / total:.3%}) took the nearest value of the map, "
             f"{done.furthest:.0f} away at most")  # fmt: skip
    for notice in done.notices:
        note(notice)
    pairs = ", ".join(f"{split or 'all'} {count:,}" for split, count in sorted(done.pairs.items()))
    note(f"written: {output} ({pairs} pairs)")


def draw_labels(chosen: LabelFolder, output: Path, count: int) -> None:
    """Draw pairs of a folder into one image."""
    from ablata.data.label_tools.preview import label_sheet
    from ablata.data.label_tools.scan import LENIENT, ReadOptions, guess_form

    refuse_no_image(output)
    labelled = chosen.listed()
    known = chosen.known(labelled)
    form = chosen.read_as(guess_form(labelled.samples, known))
    known = known if known and known.form == form else None
    sheet = label_sheet(labelled, ReadOptions(form, LENIENT, chosen.rules), known, count=count)
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(output)
    note(f"left the images, then their label files ({'by ' + known.source if known else 'no map'}), right both\n"
         f"written: {output}")  # fmt: skip
