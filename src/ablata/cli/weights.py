"""`ablata weights`: pretrained weights that can be had, and fetching them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ablata.cli.console import note, out, print_json
from ablata.cli.help import CommandGroup

app = CommandGroup(help="List and fetch pretrained weights.")


@app.callback()
def group() -> None:
    """List and fetch pretrained weights."""


@app.command("list")
def list_weights(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List available weights, and those that the lab has."""
    from ablata.models.weights.sources import SOURCES, fetched
    from ablata.reports.console import show

    there = fetched()
    known = {source.name: source for source in SOURCES} | there
    if json:
        print_json([asdict(one) | {"fetched": name in there} for name, one in known.items()])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "network of timm", "side", "here", "licence", "where it comes from"):
        table.add_column(heading, overflow="fold")
    for name, one in known.items():
        here = "yes" if name in there else "no"
        table.add_row(name, one.network, str(one.size), here, Text(one.licence), Text(one.origin))
    show(table, out)
    note("others by timm's or torchvision's own loaders: ablata weights get timm:NAME, torchvision:NAME")


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="A name of `ablata weights list`, timm:NAME or torchvision:NAME.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch weights into the lab, and check their digest.

    Says how to use them.
    """
    from ablata.models.weights.getting import get_weights
    from ablata.models.weights.sources import folder_of

    source = get_weights(name)
    path = folder_of(source.name) / source.file
    if json:
        print_json(asdict(source) | {"path": str(path)})
        return
    mean, std = (",".join(f"{value:.4g}" for value in values) for values in (source.mean, source.std))
    out.print(Text(f"{path}\nsha256 {source.sha256}\n{source.origin}\nlicence: {source.licence}"))
    note(f"network {source.network}; images of side {source.size}, {source.interpolation}, mean {mean}, std {std}")
    note(f"a classifier: ablata train RECIPE model=timm model.name={source.network} model.weights={source.name}")
    note(
        "a segmentation network: ablata train RECIPE model=features model.backbone=timm "
        f"model.backbone.name={source.network} model.backbone.weights={source.name}"
    )
    note(
        f"a detector: ablata train RECIPE model.backbone=timm model.backbone.name={source.network} "
        f"model.backbone.weights={source.name}"
    )
