"""`ablata recipes`: what can be trained, and with which settings."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ablata.base.quantities import quantity
from ablata.cli.console import out, print_json
from ablata.cli.help import CommandGroup
from ablata.cli.settings import SettingsToChange

app = CommandGroup(help="List recipes, or show one with every setting.")


@app.command("list")
def list_recipes(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List all recipes with what they train."""
    from ablata.recipes.index import recipe_entries
    from ablata.reports.console import show

    found = recipe_entries()
    if json:
        print_json([{"name": entry.name, "summary": entry.summary, "text": entry.text} for entry in found])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("recipe")
    table.add_column("what it trains", overflow="fold")
    for entry in found:
        table.add_row(entry.name, Text(entry.summary))
    show(table, out)


@app.command("show")
def show_recipe(
    recipe: Annotated[str, typer.Argument(help="A name, or path/to/file.py:function.")],
    overrides: SettingsToChange = None,
    json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema: every key and what it allows.")
    ] = False,
) -> None:
    """Show a recipe: description, every setting, and its size."""
    from ablata.base.parts import users_mistakes
    from ablata.base.settings import as_text, expand, json_schema, settings_hash
    from ablata.recipes.index import load_recipe, recipe_text

    made = load_recipe(recipe, overrides or [])
    if schema:
        print_json(json_schema(type(made)))
        return
    if json:
        print_json({"name": made.name, "hash": settings_hash(made), "settings": expand(made)})
        return
    if text := recipe_text(recipe):
        out.print(Text(text), end="\n\n")
    out.print(Text(as_text(made)))
    with users_mistakes(made, "be built and take an image"):
        size = made.complexity()
    out.print(Text(f"hash {settings_hash(made)}"))
    out.print(
        Text(
            f"{quantity(size.parameters)} parameters, {quantity(size.flops)} multiply-adds and "
            f"{quantity(size.activations)} activations an image"
        )
    )
