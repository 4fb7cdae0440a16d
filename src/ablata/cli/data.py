"""`ablata data`: look at what a recipe trains on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.cli.console import note

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

app = typer.Typer(help="Look at data sets.", no_args_is_help=True)


@app.command("preview")
def preview(
    dataset: Annotated[str, typer.Argument(help="A recipe, or a kind of data such as scenes or image_folder.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.")] = None,
    output: Annotated[Path, typer.Option(help="The picture to write.")] = Path("preview.png"),
    seed: Annotated[int, typer.Option(min=0, help="The run's seed: shows just what that run would see.")] = 0,
    step: Annotated[int, typer.Option(min=0, help="Which training step.")] = 0,
    count: Annotated[int, typer.Option(min=1, max=256, help="How many images.")] = 32,
) -> None:
    """Write a picture of a training batch as the network sees it, with labels, beside the images as they are."""
    from ablata.records.home import lab_home
    from ablata.tasks.preview import preview_sheet

    made = _recipe(dataset, overrides or [])
    sheet = preview_sheet(made, seed=seed, step=step, count=count, cache=lab_home() / "cache")
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet.picture.save(output)
    note(f"{sheet.summary}\nwritten: {output}")


def _recipe(dataset: str, overrides: list[str]) -> Recipe:
    """Return the recipe of a name, or a plain one around a kind of data."""
    from ablata.base.errors import SettingsError, listing, nearest
    from ablata.base.fields import parts
    from ablata.base.overrides import override
    from ablata.recipes.index import load_recipe, recipe_entries
    from ablata.tasks.any import RECIPES

    recipes = [entry.name for entry in recipe_entries()]
    kinds = {kind: task for task in reversed(RECIPES) for kind in parts(task.model_fields["data"].annotation)}
    if dataset in recipes or ":" in dataset or dataset.endswith(".py"):
        return load_recipe(dataset, overrides)
    if dataset not in kinds:
        close = nearest(dataset, [*kinds, *recipes])
        raise SettingsError(
            f"A data set must be a kind ({listing(kinds)}) or a recipe ({listing(recipes)})",
            found=dataset,
            do=f"did you mean {close}?" if close else None,
        )
    return override(kinds[dataset].model_validate({"name": dataset}), [f"data={dataset}", *overrides])
