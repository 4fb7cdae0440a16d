"""`ablata data`: look at what a recipe trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablata.cli.console import note

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@app.command("preview")
def preview(
    recipe: Annotated[str, typer.Argument(metavar="DATASET", help="A recipe; its data settings are used.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.")] = None,
    output: Annotated[Path, typer.Option(help="The picture to write.")] = Path("preview.png"),
    seed: Annotated[int, typer.Option(min=0, help="The run's seed: shows just what that run would see.")] = 0,
    step: Annotated[int, typer.Option(min=0, help="Which training step.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=256, help="How many images.")] = 32,
) -> None:
    """Write a picture of a training batch as the network sees it, with labels, beside the images as they are."""
    from ablata.recipes.index import load_recipe
    from ablata.records.home import lab_home
    from ablata.tasks.preview import preview_sheet

    made = load_recipe(recipe, overrides or [])
    sheet = preview_sheet(made, seed=seed, step=step, count=count, cache=lab_home() / "cache")
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.picture.save(output)
    note(f"{sheet.summary}\nwritten: {output}")
