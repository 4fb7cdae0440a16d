"""Looking at a folder and proposing a recipe for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablata.api.start.choices import (
    BATCHES,
    Seen,
    class_counts,
    data_choices,
    loss_choices,
    median_side,
    model_choices,
    training_choices,
)
from ablata.api.start.groups import find_groups, is_folder_of_groups, is_one_film
from ablata.api.start.image_reading import reading_choices
from ablata.api.start.proposal import Proposal, recipe_of
from ablata.api.start.sizing import sized
from ablata.api.start.unknown import unknown_layout
from ablata.base.errors import AblataError, DataError, listing
from ablata.base.files import write_text
from ablata.base.home import lab_cache
from ablata.base.quantities import counted
from ablata.data.formats.places import images_under, relative
from ablata.data.formats.recognize import Recognized, recognize
from ablata.data.label_tools.propose_map import propose as proposed_map
from ablata.data.label_tools.scan import ReadOptions, guess_form
from ablata.data.label_tools.survey import survey
from ablata.data.labels.class_lists import find_list, read_list
from ablata.data.labels.layout import find_labeled_folder
from ablata.data.labels.splitting import DRAWN
from ablata.data.loading.locate import find_root
from ablata.models.weights.getting import get_weights
from ablata.models.weights.sources import SOURCES, Source

WEIGHTS = "mobilenet_v2"
_SHOWN = 3


def propose(
    folder: str,
    *,
    minutes: float = 20.0,
    task: str | None = None,
    weights: bool = True,
    output: Path = Path("recipe.py"),
    say: Callable[[str], None],
) -> Proposal:
    """Look at a folder and propose a recipe for it.

    Args:
        folder: of images and labels, or a zip of it.
        minutes: how long the training may take here.
        task: detect, segment, classify or reidentify; None: what the folder is most likely for.
        weights: begin with pretrained weights where they can be had.
        output: where the recipe will be written; beside it goes a list of classes that the folder lacks.
        say: is told what is being done.

    Raises:
        DataError: the folder is not there, or its layout is not known.
    """
    cache = lab_cache()
    root = str(Path(folder).expanduser().absolute())
    ways = [one for one in recognize(root, cache) if task in (None, one.task)]
    if not ways:
        raise unknown_layout(folder, Path(root), task)
    found, *others = ways
    say(f"looking at every file: {found.words}")
    found = _with_classes(found, root, cache, output)
    if found.faults:
        return Proposal(found, tuple(others), (), found.faults, ())
    reading = tuple(reading_choices(_images(found, cache)))
    plain, found = found, replace(found, settings=(*found.settings, *(choice.setting for choice in reading)))
    lines, wrong, data = _looked(found, cache)
    if wrong:
        return Proposal(found, tuple(others), lines, wrong, ())
    files = _files(found, data, cache)
    seen, cautions = _seen(found, data, files)
    source = _weights(say) if weights else None
    choices = [
        *data_choices(plain, seen, source),
        *reading,
        *model_choices(found, source),
        *loss_choices(found, seen),
        *training_choices(found, source, minutes, BATCHES[found.task]),
    ]
    made = sized(Proposal(found, tuple(others), lines, (), tuple(choices), cautions=tuple(cautions)), cache, say)
    # What is small or large depends on the sizes that were chosen.
    notices = made.recipe().data.build(cache).notices if found.task == "classify" else files.notices
    lines = (*lines, *(notice for notice in notices if notice not in lines))
    return replace(made, lines=lines, scored=len(files.names.get("val", ())))


def _images(found: Recognized, cache: Path) -> list[Path]:
    """Return the image files of a folder whose bands, bits and pages tell how it is read, without masks."""
    if found.kind in ("shards", "mask_files", "instance_numbers") or found.format in ("mask_files", "instance_numbers"):
        return []
    if found.kind == "mask_folder":
        data = recipe_of(found.task, found.overrides).data
        samples = find_labeled_folder(str(data_root(found)), data.folder_names(), cache).samples
        return [sample.image for sample in samples if sample.image is not None]
    return list(images_under(find_root(data_root(found), default=None, fits=Path.is_dir, layout="", cache=cache)))


def _with_classes(found: Recognized, root: str, cache: Path, output: Path) -> Recognized:
    """Return a folder of masks with a list of what their values mean: its own, or one written beside the recipe."""
    if found.kind != "mask_folder":
        return found
    data = recipe_of(found.task, found.overrides).data
    labelled = find_labeled_folder(root, data.folder_names(), cache)
    listed = find_list(labelled.root)
    form = guess_form(labelled.samples, None if listed is None else read_list(listed))
    if listed is not None and read_list(listed).form == form:
        return found
    path = output.with_name(f"{output.stem}_classes.yaml").absolute()
    try:
        if not path.exists():
            text = proposed_map(survey(labelled, ReadOptions(form)), None)[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
        settings = (*found.settings, f"data.map={path}")
        recipe_of(found.task, [f"data={found.kind}", *settings]).data.find(cache)
    except DataError as error:
        return replace(found, faults=(str(error),))
    return replace(found, settings=settings, faults=())


def _looked(found: Recognized, cache: Path) -> tuple[tuple[str, ...], tuple[str, ...], Any]:
    """Return what a folder holds and what is wrong with it, in words, and the data set as it is read; None: of boxes,
    or where something is wrong."""
    # Images of several sizes are cut to one for training; here they are only looked at.
    cut = ["data.augment.crop.height=64", "data.augment.crop.width=64"] if found.task == "segment" else []
    recipe = recipe_of(found.task, [*found.overrides, *cut])
    if found.task in ("segment", "reidentify"):
        try:
            data = recipe.data.build(cache)
        except DataError as error:
            return (), (str(error),), None
        sizes = ", ".join(f"{len(data.split(split))} {split}" for split in data.splits)
        many = found.task == "reidentify"
        what = (
            f"{counted(len(data.classes), 'identity')} to train on" if many else f"classes: {', '.join(data.classes)}"
        )
        return (f"images: {sizes}", what, *data.notices), (), data
    report = recipe.check_data(cache)
    wrong = [problem for problem in report.problems if not getattr(problem, "repaired", False)]
    lines = (*report.lines(), *report.class_lines())
    if wrong:
        return lines, tuple(map(str, wrong)), None
    return lines, (), None if found.task == "detect" else recipe.data.build(cache)


@dataclass(frozen=True)
class _Files:
    """The images of a set: its folder, their paths below it by split, and what its reading told."""

    root: Path
    names: Mapping[str, Sequence[str]]
    notices: Sequence[str]


def _files(found: Recognized, data: Any, cache: Path) -> _Files:
    if data is not None:
        root = find_root(str(data_root(found)), default=None, fits=Path.is_dir, layout="", cache=cache)
        names = {split: data.item_names(split, one.index) for split, one in data.splits.items()}
        return _Files(root, names, data.notices)
    read = recipe_of(found.task, found.overrides).data.read(cache)
    names = {split: [relative(file, read.root) for file in source.files] for split, source in read.sources.items()}
    return _Files(read.root, names, read.findings.notices())


def data_root(found: Recognized) -> str:
    """Return the folder that is read."""
    return next(one.partition("=")[2] for one in found.settings if one.startswith("data.root="))


def _seen(found: Recognized, data: Any, files: _Files) -> tuple[Seen, list[str]]:
    """Return what was seen of a set, and what its reader should look at."""
    drawn = found.kind == "identities" or any(DRAWN in notice for notice in files.notices)
    names = [name for part in files.names.values() for name in part]
    grouping, cautions = None, list[str]()
    if found.task != "reidentify":
        by_folder = found.task != "classify" and is_folder_of_groups(names)
        grouping = find_groups(files.root, names, by_folder=by_folder)
    if grouping is not None and not drawn:
        both = grouping.in_both(files.names.get("train", ()), files.names.get("val", ()))
        if both:
            shown = listing(one.removeprefix("group ") for one in both[:_SHOWN])
            cautions.append(
                f"{counted(len(both), 'group of images is', 'groups of images are')} both trained on and scored on "
                f"({shown}): "
                f"{grouping.reason.partition(':')[0]}. Scores flatter; divide the folder anew by groups"
            )
    if drawn and grouping is None and is_one_film(names):
        cautions.append("All images are frames of one video: those to score on lie beside those trained on, so that "
                        "scores flatter. data.val_match=REGEX chooses a part of the video to score on")  # fmt: skip
    counts: dict[str, int] = {}
    if found.task == "classify":
        counts = class_counts(data.split_labels("train"), data.classes)
    elif found.task == "segment":
        counts = dict(zip(data.classes, data.pixel_counts("train").tolist(), strict=False))
    side = median_side([files.root / name for name in names])
    return Seen(side, counts, grouping, drawn), cautions


def _weights(say: Callable[[str], None]) -> Source | None:
    """Return pretrained weights, fetched where they are not at hand; None: they cannot be had."""
    try:
        say(f"pretrained weights: {WEIGHTS}")
        return get_weights(WEIGHTS)
    except AblataError as error:
        say(f"no pretrained weights: {error.found}; later: ablata weights get {SOURCES[0].name}")
        return None
