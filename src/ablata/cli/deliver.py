"""`ablata predict` and `ablata export`: use a trained classifier here, or hand it on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.cli.console import note, out, print_json

_FORMATS = ("onnx", "pt2", "hub")


def predict(
    model: Annotated[str, typer.Argument(help="A run's id, an exported folder, or the name of an export.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes shown for each.")] = 5,
    protocol: Annotated[str | None, typer.Option(help="Views of a picture; by default the run's first.")] = None,
    checkpoint: Annotated[str, typer.Option(help="last or best, of a run.")] = "last",
    output: Annotated[Path | None, typer.Option(help="Write a picture of the images with their classes.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name the most probable classes of images, prepared as they were in training; exit 1 if one cannot be read."""
    from ablata.records.ledger import Ledger
    from ablata.tasks.finding import find_model
    from ablata.tasks.prediction import predict_files

    with Ledger() as ledger:
        found = predict_files(find_model(ledger, model, checkpoint), images, top=top, protocol=protocol)
    if json:
        print_json(found.as_dict())
    else:
        for one in found.done:
            said = ", ".join(f"{name} {probability:.1%}" for name, probability in one.classes)
            out.print(f"{one.file}: {said}", markup=False)
    if output is not None and found.done:
        output.parent.mkdir(parents=True, exist_ok=True)
        found.sheet().save(output)
        note(f"written: {output}")
    for reason in found.unreadable:
        note(f"unreadable: {reason}")
    if found.unreadable:
        raise typer.Exit(1)


def export(
    run: Annotated[str, typer.Argument(help="A run's id, or a beginning of it; or an exported folder.")],
    format: Annotated[str, typer.Option(help="onnx, pt2 (torch.export) or hub (a folder that ablata loads).")],
    output: Annotated[
        Path | None, typer.Option(help="File or folder to write; by default RECIPE-RUN here, or in the lab's home.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="last or best, of a run.")] = "last",
) -> None:
    """Write a trained classifier for use elsewhere, and compare what was written with the network."""
    if format not in _FORMATS:
        raise SettingsError("--format must be one of onnx, pt2, hub", found=format)
    from ablata.records.ledger import Ledger
    from ablata.tasks.exported import export_hub
    from ablata.tasks.finding import export_name, export_place, find_model
    from ablata.tasks.graphs import export_onnx, export_pt2

    with Ledger() as ledger:
        model = find_model(ledger, run, checkpoint)
        name = export_name(model)
        place = output or (export_place(ledger, name) if format == "hub" else Path(f"{name}.{format}"))
    write = {"onnx": export_onnx, "pt2": export_pt2, "hub": export_hub}[format]
    difference = write(model, place)
    note(f"the same network: logits differ by at most {difference:.3g}")
    out.print(f"written: {place}", markup=False)
