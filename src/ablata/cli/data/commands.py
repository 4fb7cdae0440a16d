"""`ablata data`: check, count, draw and convert data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.files import refuse_no_image
from ablata.base.quantities import counted
from ablata.cli.console import note, out, print_json
from ablata.cli.data.graphs import graph
from ablata.cli.data.labels import (
    LabelFolder,
    check_labels,
    convert_labels,
    count_labels,
    counted_problems,
    draw_labels,
)
from ablata.cli.data.named import boxes_recipe, classes_recipe, is_folder, named_recipe
from ablata.cli.help import CommandGroup
from ablata.cli.settings import SettingsToChange

if TYPE_CHECKING:
    from ablata.data.loading.report import DataReport
    from ablata.engine.recipe import Recipe

app = CommandGroup(help="Check, count, draw and convert data sets.")
app.command("graph")(graph)


_Dataset = Annotated[
    str, typer.Argument(metavar="DATASET|FOLDER", help="A folder or zip, a kind of data, or a recipe.")
]
_Map = Annotated[Path | None, typer.Option("--map", help="Label map or class list; by default the folder's own.")]
_Images = Annotated[str | None, typer.Option("--images", metavar="NAME", help="Name of the folders that hold images.")]
_Labels = Annotated[
    str | None, typer.Option("--labels", metavar="NAME", help="Name of the folders that hold label files.")
]
_Form = Annotated[
    str | None,
    typer.Option("--form", metavar="ids|colors", help="What label files hold; by default what most of them do."),
]
_Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Processes that read label files; by default one for each core.")
]


@app.command("preview")
def preview(
    dataset: _Dataset,
    overrides: SettingsToChange = None,
    output: Annotated[Path, typer.Option(help="The image to write.")] = Path("preview.png"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the run whose batch is drawn.")] = 0,
    step: Annotated[int, typer.Option(min=0, help="Training step whose batch is drawn.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=256, help="Number of images.")] = 32,
    map: _Map = None,
    images: _Images = None,
    labels: _Labels = None,
    form: _Form = None,
) -> None:
    """Draw a training batch with its labels. The images as they are stand beside what the network sees.

    Sets with boxes: several steps, with boxes and masks drawn. Segmentation folders: image, label, and both blended.
    """
    chosen = LabelFolder(dataset, images, labels, map, form, settings=tuple(overrides or ()))
    boxes = _boxes(chosen)
    if boxes is None and is_folder(dataset, chosen.settings) and (usual := chosen.with_usual_names()).fits():
        draw_labels(usual, output, count)
        return
    from ablata.base.home import lab_cache

    refuse_no_image(output)
    plain = classes_recipe if boxes is None and is_folder(dataset, chosen.settings) else named_recipe
    made = boxes[0] if boxes is not None else plain(dataset, overrides or [])
    sheet = made.preview(seed=seed, step=step, count=count, cache=lab_cache())
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.image.save(output)
    note(f"{sheet.summary}\nwritten: {output}")


@app.command("convert")
def convert(
    folder: Annotated[str, typer.Argument(help="A folder of image files, or of images and label files; or a zip.")],
    shards: Annotated[Path | None, typer.Argument(help="Image files: the folder of tars to write.")] = None,
    tar_mib: Annotated[int, typer.Option(min=1, help="Size of a tar in MiB, roughly.")] = 256,
    map: Annotated[Path | None, typer.Option("--map", help="Label files: the label map to convert by.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Label files: the folder to write.")] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Convert back: from ids to colors or values.")] = False,
    nearest: Annotated[
        bool, typer.Option("--nearest", help="Replace values that the map lacks by the nearest it has; reads JPEG too.")
    ] = False,
    divide: Annotated[
        int | None,
        typer.Option("--divide", min=2, help="Values are class * N + object: take the class."),
    ] = None,
    palette: Annotated[
        str | None,
        typer.Option(
            "--palette",
            metavar="index|grey",
            help="Read palette files as indices (the default, if palettes agree), or as the grey of their colors.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Settings of how files are read, such as data.mask_suffix=_mask."
        ),
    ] = None,
    paired_only: Annotated[
        bool, typer.Option("--paired-only", help="Leave out images without label files, and the reverse.")
    ] = False,
    val: Annotated[
        float | None,
        typer.Option("--val", help="Split anew: this fraction for validation, with every class in both splits."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the new split.")] = 0,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="yolo|coco|masks", help="Boxes and polygons: write this format, with --output."),
    ] = None,
    images: _Images = None,
    labels: _Labels = None,
    workers: _Workers = None,
) -> None:
    """Convert labels and boxes to other formats, images to tars.

    Boxes of any format that `data check` knows become YOLO's or COCO's (--to yolo --output NEW_FOLDER), there and back
    again the same; polygons become masks of classes (--to masks). Label files: the new folder has images/SPLIT,
    labels/SPLIT and label_map.yaml; a folder without train and val is split, with every class in both splits. Sources
    are never changed and nothing is overwritten; --reverse with the same map restores the raw values exactly. Image
    files: `data=shards data.root=SHARDS` reads the tars.
    """
    if to is not None and map is None and shards is None:
        from ablata.cli.data.formats import convert_format

        convert_format(folder, to, output, settings or ())
    elif map is not None and output is not None and shards is None:
        chosen = LabelFolder(folder, images, labels, map, None, workers, tuple(settings or ()))
        convert_labels(chosen, output, reverse=reverse, nearest=nearest, divide=divide, palette=palette,
                       paired_only=paired_only, val=val, seed=seed)  # fmt: skip
    elif shards is not None and map is None and output is None:
        _pack(folder, shards, tar_mib)
    else:
        from ablata.base.errors import SettingsError

        raise SettingsError(
            "A folder is converted to tars, its label files by a map, or its boxes to another format",
            found="parts of several" if shards or to else "--map without --output" if map else "neither",
            do=f"ablata data convert {folder} SHARDS, or ablata data convert {folder} --map FILE --output NEW_FOLDER "
            f"(a map by: ablata data check {folder} --propose-map FILE), or --to yolo --output NEW_FOLDER",
        )


def _pack(folder: str, shards: Path, tar_mib: int) -> None:
    from ablata.base.home import lab_cache
    from ablata.data.classification.shard_writing import pack_folder

    packed = pack_folder(folder, shards, lab_cache(), tar_mib * 2**20)
    for notice in packed.notices:
        note(notice)
    said = ", ".join(
        f"{packed.samples[source]} in {counted(packed.tars[source], f'{source} tar')}" for source in packed.samples
    )
    note(f"written: {shards} ({said})")


@app.command("check")
def check(
    dataset: _Dataset,
    overrides: SettingsToChange = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    propose_map: Annotated[
        Path | None,
        typer.Option("--propose-map", metavar="FILE", help="Write a label map of the values found, for you to edit."),
    ] = None,
    map: _Map = None,
    images: _Images = None,
    labels: _Labels = None,
    form: _Form = None,
    workers: _Workers = None,
) -> None:
    """Check every image, label file or annotation. What is wrong is listed by file; exit 1 if training refuses it."""
    folder = LabelFolder(dataset, images, labels, map, form, workers, tuple(overrides or ()))
    boxes = _boxes(folder)
    chosen = _labelled(folder) if boxes is None else None
    if chosen is not None:
        check_labels(chosen, propose_map, json)
        return
    report = _report(dataset, overrides or [], boxes and boxes[0])
    repaired = [problem for problem in report.problems if getattr(problem, "repaired", False)]
    wrong = [problem for problem in report.problems if problem not in repaired]
    if json:
        print_json(({"format": boxes[1]} if boxes else {}) | report.as_dict())
    else:
        if boxes:
            out.print(f"format: {boxes[1]}", markup=False)
        for line in [*report.lines(), *(str(one) for one in wrong)]:
            out.print(line, markup=False)
        for line in _by_kind([*repaired, *report.remarks]):
            out.print(f"note: {line}", markup=False)
        if (
            is_folder(dataset, overrides or ())
            and boxes is None
            and any("crop" in str(remark) for remark in report.remarks)
        ):
            out.print("note: the crop is that of a plain recipe; a recipe's own: ablata data check RECIPE "
                      f"data=image_folder data.root={dataset}", markup=False)  # fmt: skip
        out.print(counted_problems(len(wrong)), markup=False)
    if wrong:
        raise typer.Exit(1)


def _by_kind(findings: Sequence[object]) -> Iterator[str]:
    """Yield a line for each kind of finding, with the first few places; a finding that is a sentence is its own."""
    kinds: dict[str, list[object]] = {}
    for one in findings:
        kinds.setdefault(getattr(one, "kind", str(one)), []).append(one)
    for kind, found in kinds.items():
        told = [str(one).removeprefix(f"{kind}: ") for one in found[:_SHOWN]]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield str(found[0]) if len(found) == 1 else f"{kind}: {len(found):,} in all: {', '.join(told)}{more}"


_SHOWN = 3


@app.command("stats")
def stats(
    dataset: _Dataset,
    overrides: SettingsToChange = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", metavar="inverse|most-frequent|median|effective|complement", help="Class weights to print."
        ),
    ] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="Beta of effective weights, in [0, 1).")] = None,
    map: _Map = None,
    images: _Images = None,
    labels: _Labels = None,
    form: _Form = None,
    workers: _Workers = None,
) -> None:
    """Print statistics of a data set. Images of each class, sizes, mean and standard deviation of the colors.

    Sets with boxes: objects and images of each class, by size.
    Segmentation sets: pixels and images of each class, whether class weights are advised, and the weights.
    """
    folder = LabelFolder(dataset, images, labels, map, form, workers, tuple(overrides or ()))
    boxes = _boxes(folder)
    chosen = _labelled(folder) if boxes is None else None
    if chosen is not None:
        count_labels(chosen, weights, beta, json)
        return
    report = _report(dataset, overrides or [], boxes and boxes[0])
    if json:
        print_json({key: value for key, value in report.as_dict().items() if key not in ("problems", "remarks")})
        return
    for line in [*report.lines(), *report.class_lines()]:
        out.print(line, markup=False)


def _labelled(chosen: LabelFolder) -> LabelFolder | None:
    """Return what has label files: a folder, or the set of a recipe or kind; None for sets of images."""
    if is_folder(chosen.folder, chosen.settings):
        chosen = chosen.with_usual_names()
        return chosen if chosen.fits() else None
    from ablata.base.home import lab_cache
    from ablata.data.segmentation.mask_folder import SegmentationFileSettings

    data = getattr(named_recipe(chosen.folder, list(chosen.settings)), "data", None)
    if not isinstance(data, SegmentationFileSettings):
        return None
    return replace(chosen, found=data.find(lab_cache()), data_rules=data.image_rules(), settings=())


def _boxes(folder: LabelFolder) -> tuple[Recipe, str] | None:
    """Return a recipe around a folder of images with boxes, and its format in words; None for everything else."""
    options = (folder.images, folder.labels, folder.map, folder.form)
    boxes = is_folder(folder.folder, folder.settings) and not any(options)
    return boxes_recipe(folder.folder, list(folder.settings)) if boxes else None


def _report(dataset: str, overrides: list[str], boxes: Recipe | None) -> DataReport:
    """Check a folder, or the data of a recipe or kind; `boxes`: a folder of boxes, recognised already."""
    from ablata.base.home import lab_cache

    if boxes is not None:
        return boxes.check_data(lab_cache())
    recipe = classes_recipe(dataset, overrides) if is_folder(dataset, overrides) else named_recipe(dataset, overrides)
    return recipe.check_data(lab_cache())
