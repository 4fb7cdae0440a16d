"""`ablata export`: write a trained network for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablata.cli.asking import TrustCode
from ablata.cli.console import note, out


def export(
    run: Annotated[str, typer.Argument(help="A run's id, a beginning of it, or its folder; or an exported folder.")],
    format: Annotated[
        str,
        typer.Option(
            metavar="onnx|pt2|torchscript|openvino|hub", help="pt2: torch.export; hub: a folder that ablata loads."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="File or folder to write; by default RECIPE-RUN here, or in the lab's home.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(metavar="last|best", help="Checkpoint of a run.")] = "last",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Image size of a segmenter's graph, such as 1024x2048; by default the training size.",
        ),
    ] = None,
    free_size: Annotated[
        bool, typer.Option("--free-size", help="A graph for images of any height and width, compared at three.")
    ] = False,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Image files or folders: the graph is compared with the network on eight of them too."),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Write a trained network as a graph or a folder. It is loaded again to check that it computes the same."""
    from ablata.api.models import export as export_model

    place, difference = export_model(
        run, format, output, checkpoint=checkpoint, size=size, free_size=free_size, images=images or (),
        trust_code=trust_code, say=note,
    )  # fmt: skip
    note(f"the same network: outputs differ by at most {difference:.3g}")
    out.print(f"written: {place}", markup=False)
