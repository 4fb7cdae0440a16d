"""`ablata data`: look at what a recipe trains on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.cli.console import note, out, print_json

if TYPE_CHECKING:
    from ablata.data.checking import Report
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


@app.command("convert")
def convert(
    folder: Annotated[str, typer.Argument(help="train/CLASS and val/CLASS of image files, or a zip of it.")],
    shards: Annotated[Path, typer.Argument(help="The folder to make.")],
    tar_mib: Annotated[int, typer.Option(min=1, help="About how many MiB of pictures go into a tar.")] = 256,
) -> None:
    """Pack an image folder into tars of pictures and labels, which `data=shards data.root=SHARDS` reads."""
    from ablata.data.shard_writing import pack_folder
    from ablata.records.home import lab_home

    packed = pack_folder(folder, shards, lab_home() / "cache", tar_mib * 2**20)
    for notice in packed.notices:
        note(notice)
    said = ", ".join(f"{packed.samples[source]} in {packed.tars[source]} {source} tars" for source in packed.samples)
    note(f"written: {shards} ({said})")


_Dataset = Annotated[
    str, typer.Argument(metavar="DATASET|FOLDER", help="A folder or zip, a kind of data, or a recipe.")
]
_Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.")]


@app.command("check")
def check(
    dataset: _Dataset,
    overrides: _Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read every picture and name what is wrong, by file; exit 1 if something is."""
    report = _report(dataset, overrides or [])
    if json:
        print_json(report.as_dict())
    else:
        for line in [*report.lines(), *map(str, report.problems)]:
            out.print(line, markup=False)
        for finding in report.remarks:
            out.print(f"note: {finding}", markup=False)
        out.print(f"{len(report.problems)} problems" if report.problems else "no problems", markup=False)
    if report.problems:
        raise typer.Exit(1)


@app.command("stats")
def stats(
    dataset: _Dataset,
    overrides: _Overrides = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a data set holds: pictures of each class, sizes, mean and standard deviation of the colours."""
    report = _report(dataset, overrides or [])
    if json:
        print_json({key: value for key, value in report.as_dict().items() if key not in ("problems", "remarks")})
        return
    for line in report.lines():
        out.print(line, markup=False)
    for name in dict.fromkeys(name for counts in report.classes.values() for name in counts):
        counted = ", ".join(f"{split} {counts.get(name, 0):,}" for split, counts in report.classes.items())
        out.print(f"{name}: {counted}", markup=False)


def _report(dataset: str, overrides: list[str]) -> Report:
    """Check a folder, or the data of a recipe or kind."""
    from ablata.base.errors import SettingsError
    from ablata.records.home import lab_home
    from ablata.tasks.checking import check_data

    folder = Path(dataset).expanduser()
    if folder.suffix == ".py" or ".py:" in dataset or not (folder.exists() or "/" in dataset):
        return check_data(_recipe(dataset, overrides), lab_home() / "cache")
    if any(not argument.startswith("data.") for argument in overrides):
        raise SettingsError("A folder takes settings of its data alone", found=" ".join(overrides), do="data.size=128")
    made = _recipe("image_folder", [f"data.root={folder}", *overrides])
    return check_data(made, lab_home() / "cache")


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
