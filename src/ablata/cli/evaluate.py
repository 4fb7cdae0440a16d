"""`ablata evaluate`: score a run's checkpoint again, in full."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ablata.cli.asking import TrustCode
from ablata.cli.console import note, out, print_json


def evaluate(
    run: Annotated[str, typer.Argument(help="A run's id, or a beginning of it.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings that say where files lie, such as data.root=FOLDER."),
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
            metavar="delivered|raw", help="delivered: the EMA weights if the run has them; raw: the trained weights."
        ),
    ] = "delivered",
    save_predictions: Annotated[
        Path | None, typer.Option(help="Write every sample's predictions to this .npz.")
    ] = None,
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run's model: totals, and every class with what it is most often confused with."""
    from ablata.api.models import evaluate as evaluate_run
    from ablata.reports.console import show

    result = evaluate_run(
        run, overrides=overrides or [], protocols=protocol, split=split, checkpoint=checkpoint, weights=weights,
        save_predictions=save_predictions, trust_code=trust_code, say=note,
    )  # fmt: skip
    if json:
        print_json(result.as_dict())
        return
    note(result.data_words())
    for name, value in result.scores.items():
        out.print(f"{name} = {value:.6g}", markup=False)
    if result.classes:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("class")
        table.add_column(f"{result.class_metric} %", justify="right")
        table.add_column("most often confused with")
        for name, score, confused in result.class_rows():
            table.add_row(name, "-" if math.isnan(score) else f"{score:.2f}", confused)
        show(table, out)
    if save_predictions is not None:
        note(f"predictions written: {save_predictions}")
