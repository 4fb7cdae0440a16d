"""`ablata start`: from a folder of images to a recipe that can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ablata.base.quantities import duration, quantity, two_digits
from ablata.cli.asking import Replace
from ablata.cli.console import note, out
from ablata.cli.data.named import refuse_file

_SHOWN = 12


def start(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder of images and labels, or a zip of it.")],
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="How long a training may take here.")] = 20.0,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="classify|segment|detect|reidentify", help="Where a folder allows several."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", help="The recipe to write.")] = Path("recipe.py"),
    weights: Annotated[
        bool, typer.Option("--weights/--no-weights", help="Begin with pretrained weights where they can be had.")
    ] = True,
    replace: Replace = False,
) -> None:
    """Look at a folder and write a recipe that fits it.

    Says what it holds, what is wrong with it, and what training it will cost on this machine.
    """
    from ablata.base.errors import SettingsError, suggestion
    from ablata.base.files import write_text
    from ablata.data.loading.locate import refuse_missing

    if task not in (None, "classify", "segment", "detect", "reidentify"):
        raise SettingsError(
            "--task must be classify, segment, detect or reidentify",
            found=str(task),
            do=suggestion(task, ("classify", "segment", "detect", "reidentify")),
        )
    if output.exists() and not replace:
        raise SettingsError(
            "A recipe is not replaced unasked", found=f"{output} is there", do="--replace, or --output OTHER.py"
        )
    refuse_missing(folder)  # before torch is loaded, which takes seconds
    refuse_file(folder)
    from ablata.api.start.first_study import first_study
    from ablata.api.start.proposing import propose

    made = propose(folder, minutes=minutes, task=task, weights=weights, output=output, say=note)
    out.print(Text(f"{folder}: {made.found.words}; task {made.found.task}"))
    for other in made.others:
        out.print(Text(f"  also: {other.words} (--task {other.task})"))
    for line in made.lines:
        out.print(Text(f"  {line}"))
    if made.wrong:
        for problem in made.wrong[:_SHOWN]:
            out.print(Text(f"  wrong: {problem}"))
        if len(made.wrong) > _SHOWN:
            out.print(Text(f"  and {len(made.wrong) - _SHOWN} more"))
        note(f"repair what is wrong first; all of it: ablata data check {folder}")
        raise typer.Exit(1)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, made.text())
    out.print(Text("the recipe's settings, each with its reason (also in the file):"))
    for choice in made.choices:
        out.print(Text(f"  {choice.setting}  ({choice.reason})"))
    out.print(
        Text(
            f"cost here: about {made.steps} training steps of {two_digits(made.seconds_a_step)} s in "
            f"{duration(60 * minutes)}, each evaluation {duration(made.seconds_an_evaluation)}; memory "
            f"{quantity(made.memory, 'B')}"
        )
    )
    for caution in made.cautions:
        out.print(Text(f"look at this first: {caution}"))
    out.print(Text(f"written: {output}"))
    shown = str(output)
    note(
        f"next:\n  ablata train {shown}  (names its run)\n  ablata data preview {shown}  (what the network sees)\n"
        "then, with the run's name:\n"
        "  ablata evaluate RUN\n  ablata predict RUN IMAGE...\n  ablata export RUN --format hub --output NEW_FOLDER"
    )
    for choice in made.choices:
        if choice.key.startswith("model.") and choice.key.endswith(".weights"):
            seeds, margin, why = first_study(max(1, made.scored))
            note(
                "does pretraining help here? a study with a verdict:\n"
                f"  ablata study run --recipe {shown} --arm scratch:{choice.key}=null --seeds {seeds} "
                f"--margin {margin:g}\n  ({why})"
            )
