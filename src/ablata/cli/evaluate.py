"""`ablata evaluate`: score a run's checkpoint again, in full."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ablata.cli.asking import TrustCode
from ablata.cli.console import note, out, print_json
from ablata.cli.settings import refuse_options

if TYPE_CHECKING:
    from ablata.studies.evaluation import Evaluation

_WIDEST = 12
"""Classes of a confusion matrix that a terminal shows; --json has any."""


def evaluate(
    run: Annotated[str, typer.Argument(help="A run's id, a beginning of it, or its folder.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Settings that say where files lie, such as data.root=FOLDER.",
            callback=refuse_options,
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="How to score, such as ten_crop; may be repeated; by default the recipe's."),
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="The split to score on.")] = "val",
    checkpoint: Annotated[str, typer.Option(metavar="last|best", help="Checkpoint of the run.")] = "last",
    weights: Annotated[
        str,
        typer.Option(
            metavar="eval|raw", help="eval: the EMA weights if the run keeps them; raw: the trained weights themselves."
        ),
    ] = "eval",
    save_predictions: Annotated[
        Path | None,
        typer.Option(
            help="Write every sample's predictions to this .npz; a detector's also to a .json as COCO has it."
        ),
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(help="Detector: score threshold of precision, recall and the confusion matrix; by default 0.5."),
    ] = None,
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run's model, in total and by class. Each class is shown with what it is most often confused with."""
    from ablata.api.models import evaluate as evaluate_run
    from ablata.reports.console import show

    result = evaluate_run(
        run, overrides=overrides or [], protocols=protocol, split=split, checkpoint=checkpoint, weights=weights,
        save_predictions=save_predictions, score_threshold=score, trust_code=trust_code, say=note,
    )  # fmt: skip
    if result.not_kept:
        note(f"not kept with the run, whose folder cannot be written to ({result.not_kept})")
    if json:
        print_json(result.as_dict())
        return
    note(result.data_words())
    for name, value in result.scores.items():
        out.print(f"{name} = {value:.6g}", markup=False)
    if result.classes:
        show(_classes(result), out)
    if result.confusion_classes and len(result.confusion_classes) <= _WIDEST:
        show(_confusion(result), out)
    if save_predictions is not None:
        note(f"predictions written: {save_predictions}")


def _classes(result: Evaluation) -> Table:
    """Return a row for each class: its scores, and what it is most often confused with."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class")
    for name in (result.class_metric, *result.class_details):
        table.add_column(f"{name} %", justify="right")
    table.add_column("most often confused with")
    details = zip(*result.class_details.values(), strict=True) if result.class_details else [()] * len(result.classes)
    for (name, score, confused), more in zip(result.class_rows(), details, strict=True):
        numbers = ["-" if math.isnan(value) else f"{value:.2f}" for value in (score, *more)]
        table.add_row(name, *numbers, confused)
    return table


def _confusion(result: Evaluation) -> Table:
    """Return the confusion matrix of objects, true classes in rows."""
    names = result.confusion_classes
    table = Table(box=None, pad_edge=False, header_style="bold", title="objects (rows) and what was detected")
    table.add_column("")
    for name in names:
        table.add_column("missed" if name == names[-1] else name, justify="right")
    for name, row in zip(names, result.confusion, strict=True):
        cells = [f"{count:,}" for count in row]
        table.add_row("no object" if name == names[-1] else name, *(cells[:-1] if name == names[-1] else cells))
    return table
