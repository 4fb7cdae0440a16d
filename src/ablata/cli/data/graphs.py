"""`ablata data graph`: which classes are seen together, counted, written and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.files import refuse_other_kind
from ablata.cli.console import note, out
from ablata.cli.data.named import boxes_recipe, is_folder, named_recipe
from ablata.cli.settings import SettingsToChange

if TYPE_CHECKING:
    from ablata.data.detection.class_graph import ClassGraph
    from ablata.engine.recipe import Recipe

_PAIRS = 8


def graph(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET|FOLDER", help="A folder or zip, a kind of data, or a recipe of a detector."),
    ],
    overrides: SettingsToChange = None,
    output: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("graph.json"),
    image: Annotated[Path | None, typer.Option(help="The SVG to draw; by default beside the JSON.")] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            metavar="counts|conditional|symmetric|pmi", help="How counts become weights; symmetric by default."
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            metavar="identity|random", help="Write a control graph instead: no edges between classes, or shuffled ones."
        ),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this class; may be repeated; by default all.")
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="zero|self|every", help="Edges of the background: none (default), to itself, to every class."
        ),
    ] = None,
    self_loops: Annotated[
        str | None, typer.Option(metavar="unit|counted|none", help="The diagonal: 1 (default), as normalized, or 0.")
    ] = None,
    smoothing: Annotated[float | None, typer.Option(help="Added to every count; 0 by default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the random control; 0 by default.")] = None,
) -> None:
    """Count which classes occur in the same training images. The class graph is written as JSON and drawn as SVG.

    To train with it: graph=file graph.path=FILE. Of a recipe its own graph is written.
    """
    from ablata.base.errors import SettingsError
    from ablata.base.home import lab_cache
    from ablata.data.drawing.class_graph import graph_svg

    options = {
        "normalize": normalize, "background": background, "self_loops": self_loops,
        "smoothing": smoothing, "classes": json.dumps(classes) if classes else None,
    }  # fmt: skip
    given = {key: str(value) for key, value in options.items() if value is not None}
    drawn = image or output.with_suffix(".svg")
    if drawn == output:
        raise SettingsError("Graph and image need a file each", found=f"{output} for both", do="--output graph.json")
    refuse_other_kind(output, (".json",))
    refuse_other_kind(drawn, (".svg",))
    made = _detector(dataset, [*(overrides or []), *_chosen(control, given, seed)])
    counted, notices = made.count_class_graph(lab_cache())
    for notice in notices:
        note(notice)
    counted.save(output)
    drawn.parent.mkdir(parents=True, exist_ok=True)
    drawn.write_text(graph_svg(counted), encoding="utf-8")
    _tell(counted)
    note(f"written: {output}, {drawn}\ntrain with it: graph=file graph.path={output}")


def _chosen(control: str | None, given: dict[str, str], seed: int | None) -> list[str]:
    """Return the settings of the graph that the options stand for; none where nothing is asked for.

    Raises:
        SettingsError: an option has no meaning for the graph that is asked for.
    """
    from ablata.base.errors import SettingsError

    if control not in (None, "identity", "random"):
        raise SettingsError(
            "--control must be identity or random", found=f"--control {control}", do="--control random, or leave it out"
        )
    if seed is not None and control != "random":
        raise SettingsError("--seed shuffles the random control alone", found=f"--seed {seed}", do="--control random")
    if control == "identity" and given:
        option = next(iter(given)).replace("_", "-")
        raise SettingsError("--control identity counts nothing, so no setting of the count can be chosen",
                            found=f"--control identity with --{option}",
                            do="leave the option out, or --control random")  # fmt: skip
    if control is None and not given:
        return []
    place = "graph.of" if control == "random" else "graph"
    settings = [f"{place}.{key}={value}" for key, value in given.items()]
    return [f"graph={control or 'cooccurrence'}", *settings, *([] if seed is None else [f"graph.graph_seed={seed}"])]


def _detector(dataset: str, settings: list[str]) -> Recipe:
    """Return the recipe of a detector around a data set.

    Raises:
        DataError: a folder is of no known layout.
        SettingsError: there is no such recipe or kind, or a setting does not fit.
    """
    from ablata.base.errors import DataError, choices
    from ablata.base.fields import parts
    from ablata.data.formats.recognize import box_formats
    from ablata.tasks.detection.task import Detect

    if not is_folder(dataset):
        return named_recipe(dataset, settings)
    found = boxes_recipe(dataset, settings)
    if found is None:
        kinds = parts(Detect.model_fields["data"].annotation)
        raise DataError(
            f"A class graph is counted on annotated objects: {box_formats()}",
            found=f"{dataset} has none of these layouts",
            do=f"name the kind ({choices(kinds)}) and its files, as in: ablata data graph coco data.root={dataset} "
            "data.train_json=FILE",
        )
    return found[0]


def _tell(counted: ClassGraph) -> None:
    """Print the classes and the pairs with the heaviest weights."""
    names = counted.names[1:]
    out.print(f"{len(names)} classes on {counted.images} training images", markup=False)
    weights, both = counted.matrix[1:, 1:], counted.counts
    pairs = [(max(weights[i, j], weights[j, i]), i, j) for i in range(len(names)) for j in range(i)]
    for weight, i, j in sorted(pairs, reverse=True)[:_PAIRS]:
        if weight > 0:
            out.print(f"{names[j]} - {names[i]}: {weight:.4g}, together on {both[i, j]}", markup=False)
