"""`ablata export`: write a trained network for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.cli.console import note, out

_FORMATS = ("onnx", "pt2", "hub")


def export(
    run: Annotated[str, typer.Argument(help="A run's id, or a beginning of it; or an exported folder.")],
    format: Annotated[str, typer.Option(help="onnx, pt2 (torch.export) or hub (a folder that ablata loads).")],
    output: Annotated[
        Path | None, typer.Option(help="File or folder to write; by default RECIPE-RUN here, or in the lab's home.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="last or best, of a run.")] = "last",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the images that a segmenter's "
            "graph takes, such as 1024x2048; by default those trained on.",
        ),
    ] = None,
) -> None:
    """Write a trained network for use elsewhere, and compare what was written with it."""
    if format not in _FORMATS:
        raise SettingsError("--format must be one of onnx, pt2, hub", found=format)
    if format == "hub" and size is not None:
        raise SettingsError("--size is of a graph: --format onnx or pt2; a folder takes any size", found=size)
    from ablata.records.ledger import Ledger
    from ablata.tasks.inference.hub import export_hub
    from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2
    from ablata.tasks.inference.resolve import export_name, export_place, find_model

    with Ledger() as ledger:
        model = find_model(ledger, run, checkpoint)
        if size is not None:
            model = model.with_size(size)
        name = export_name(model)
        place = output or (export_place(ledger, name) if format == "hub" else Path(f"{name}.{format}"))
    write = {"onnx": export_onnx, "pt2": export_pt2, "hub": export_hub}[format]
    difference = write(model, place)
    note(f"the same network: outputs differ by at most {difference:.3g}")
    out.print(f"written: {place}", markup=False)
