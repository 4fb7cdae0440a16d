"""`ablata study`: plan, run, watch, report, carry away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import SettingsError, listing
from ablata.cli.console import note, out, print_json

if TYPE_CHECKING:
    from ablata.studies.study import Study

app = typer.Typer(help="Ask whether a change helps, and get a verdict.", no_args_is_help=True)

_Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A study's name, or path/to/file.py:function; none with --recipe.")
]
_RecipeOption = Annotated[str | None, typer.Option("--recipe", help="Ask ad hoc: the control's recipe.")]
_Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the control and all arms.")]
_Arms = Annotated[
    list[str] | None,
    typer.Option("--arm", metavar="NAME:KEY=VALUE", help="An arm; the same name again adds a key to it."),
]
_Seeds = Annotated[int | None, typer.Option(min=1, help="The most seeds an arm may use.")]
_Margin = Annotated[float | None, typer.Option(help="The largest difference that does not matter, in the metric's unit.")]
_Screen = Annotated[bool, typer.Option("--screen", help="20% family-wise errors instead of 5%: verdicts only lean.")]
_Fixed = Annotated[bool, typer.Option("--force-fixed", help="Judge once, after all seeds; stop nothing early.")]
_History = Annotated[bool, typer.Option("--history", help="Let the noise of earlier studies of this recipe count.")]
_Workers = Annotated[int | None, typer.Option(min=1, help="Local processes; by default one for each GPU or core.")]
_As = Annotated[str | None, typer.Option("--name", help="The name to record the study under.")]
_Question = Annotated[str | None, typer.Option(help="What is asked, for the report.")]


@app.command("plan")
def plan(
    name: _Name = None,
    recipe: _RecipeOption = None,
    sets: _Sets = None,
    arm: _Arms = None,
    seeds: _Seeds = None,
    margin: _Margin = None,
    screen: _Screen = False,
    force_fixed: _Fixed = False,
    history: _History = False,
    workers: _Workers = None,
    save_as: _As = None,
    question: _Question = None,
) -> None:
    """Say what a study will cost and what it can find, without training it."""
    from ablata.cli.planning import print_plan
    from ablata.records.ledger import Ledger
    from ablata.studies.launch import Workers
    from ablata.studies.plan import plan_study

    with Ledger() as ledger:
        study = _study(name, recipe, sets, arm, seeds, margin, screen, force_fixed, save_as, question)
        study = _with_history(ledger, study) if history else study
        size = Workers.for_this_machine(workers, len(study.recipes))
        print_plan(plan_study(ledger, study, size.count))


@app.command("run")
def run(
    name: _Name = None,
    recipe: _RecipeOption = None,
    sets: _Sets = None,
    arm: _Arms = None,
    seeds: _Seeds = None,
    margin: _Margin = None,
    screen: _Screen = False,
    force_fixed: _Fixed = False,
    history: _History = False,
    workers: _Workers = None,
    save_as: _As = None,
    question: _Question = None,
    output: Annotated[Path | None, typer.Option(help="Where the HTML report goes.")] = None,
) -> None:
    """Run a study to its verdicts; interrupted or killed, the same command goes on with it."""
    from ablata.cli.live import StudyDisplay
    from ablata.records.ledger import Ledger
    from ablata.studies.launch import Launch, Workers, create

    with Ledger() as ledger:
        if recipe is None and name in {row.name for row in ledger.studies.all()} and save_as is None:
            asked = name
        else:
            study = _study(name, recipe, sets, arm, seeds, margin, screen, force_fixed, save_as, question)
            create(ledger, _with_history(ledger, study) if history else study)
            asked = study.name
        assert asked is not None
        arms = ledger.studies.arms(asked)
        size = Workers.for_this_machine(workers, len(arms))
        note(f"study {asked}: {len(arms) - 1} arms and the control, {size.count} worker{'s' if size.count > 1 else ''}")
        with StudyDisplay(ledger, asked) as display:
            try:
                Launch(ledger, asked, size, display.update).run()
            except KeyboardInterrupt:
                note(f"interrupted; what was trained is saved. Go on with: ablata study run {asked}")
                raise typer.Exit(1) from None
        _report(ledger, asked, "terminal", None)
        page = output or ledger.home / "reports" / f"{asked}.html"
        _report(ledger, asked, "html", page)


@app.command("status")
def status(name: Annotated[str, typer.Argument(help="A study in the ledger.")]) -> None:
    """Show where a study stands: runs by state, verdicts so far, workers that fell silent."""
    import time

    from ablata.records.ledger import Ledger
    from ablata.reports.collect import study_view
    from ablata.reports.console import show
    from ablata.reports.terminal import study_report

    with Ledger() as ledger:
        show(study_report(study_view(ledger, name), plain=not out.is_terminal), out)
        cells = ledger.studies.cells(name)
        states = [cell.run.state for cell in cells]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none yet"
        note(f"runs: {counts}")
        for cell in cells:
            lease = cell.run.lease_until
            if cell.run.state == "running" and lease is not None and lease < time.time():
                note(f"run {cell.run.id} ({cell.arm}, seed {cell.seed}): its worker {cell.run.owner} fell silent")
            if cell.run.error:
                note(f"run {cell.run.id} ({cell.arm}, seed {cell.seed}) {cell.run.state}: {cell.run.error}")
        if ledger.studies.get(name).state == "open":
            note(f"go on with: ablata study run {name}")


@app.command("report")
def report(
    name: Annotated[str, typer.Argument(help="A study in the ledger.")],
    form: Annotated[str, typer.Option("--format", help="terminal, markdown, html or json.")] = "terminal",
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
) -> None:
    """Report a study: in the terminal, as Markdown, as one HTML page, or as JSON."""
    from ablata.records.ledger import Ledger

    forms = ("terminal", "markdown", "html", "json")
    if form not in forms:
        raise SettingsError(f"--format must be one of {listing(forms)}", found=form)
    with Ledger() as ledger:
        _report(ledger, name, form, output)


@app.command("list")
def list_studies(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the studies of the ledger, and those that come with the package."""
    from dataclasses import asdict

    from ablata.records.ledger import Ledger
    from ablata.studies.index import study_entries

    with Ledger() as ledger:
        rows = ledger.studies.all()
    if json:
        print_json({"recorded": [asdict(row) for row in rows], "available": [entry.name for entry in study_entries()]})
        return
    for row in rows:
        out.print(f"{row.name}  {row.state}  {row.question}", markup=False)
    recorded = {row.name for row in rows}
    for entry in study_entries():
        if entry.name not in recorded:
            out.print(f"{entry.name}  not run yet  {entry.summary}", markup=False)


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(help="A study in the ledger.")],
    path: Annotated[Path, typer.Argument(help="The file to write, such as study.ablata.")],
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Take the weights along.")] = False,
) -> None:
    """Write a study with its runs, curves and small files to one file."""
    from ablata.records.exporting import export_study
    from ablata.records.ledger import Ledger

    with Ledger() as ledger:
        done = export_study(ledger, name, path, checkpoints=checkpoints)
    note(f"written: {done.path} with {done.runs} runs and {done.files} files")
    for left in done.left_out:
        note(f"left out: {left.path}, {left.reason}")


@app.command("import")
def import_(path: Annotated[Path, typer.Argument(help="A file that `export` wrote.")]) -> None:
    """Take a study in from a file; runs that are here already are shared."""
    from ablata.records.importing import import_study
    from ablata.records.ledger import Ledger

    with Ledger() as ledger:
        done = import_study(ledger, path)
    note(f"study {done.study}: {done.taken} runs taken in, {done.shared} were here already")


def _study(
    name: str | None,
    recipe: str | None,
    sets: list[str] | None,
    arms: list[str] | None,
    seeds: int | None,
    margin: float | None,
    screen: bool,
    fixed: bool,
    save_as: str | None,
    question: str | None,
) -> Study:
    """Return the study that a command line names or describes."""
    from ablata.studies.adhoc import ask, change

    if (name is None) == (recipe is None):
        raise SettingsError(
            "Name a study, or ask ad hoc with --recipe and --arm",
            found=f"name {name}, --recipe {recipe}",
            do="ablata study run NAME, or ablata study run --recipe RECIPE --arm NAME:key=value --seeds N --margin M",
        )
    if recipe is not None:
        return ask(
            recipe, sets or [], arms or [], seeds=seeds, margin=margin, screen=screen, fixed=fixed, name=save_as,
            question=question,
        )  # fmt: skip
    from ablata.studies.index import load_study

    if arms:
        raise SettingsError("--arm belongs to a study asked with --recipe", found=f"--arm {arms[0]} for study {name}")
    return change(
        load_study(str(name)), sets or [], seeds=seeds, margin=margin, screen=screen, fixed=fixed, name=save_as,
        question=question,
    )  # fmt: skip


def _with_history(ledger, study: Study) -> Study:  # type: ignore[no-untyped-def]
    from ablata.studies.plan import with_history

    found = with_history(ledger, study)
    if found is study:
        note("no earlier study of this recipe, metric and length: its noise cannot count")
    return found


def _report(ledger, name: str, form: str, output: Path | None) -> None:  # type: ignore[no-untyped-def]
    from ablata.base.files import write_text
    from ablata.reports.collect import study_view
    from ablata.reports.console import plain_lines, show
    from ablata.reports.html import study_page
    from ablata.reports.markdown import study_markdown
    from ablata.reports.terminal import study_report
    from ablata.reports.view import as_json

    way = os.path.relpath(ledger.home, output.parent) + "/" if output is not None else ""
    view = study_view(ledger, name, home=way)
    if form == "terminal" and output is None:
        show(study_report(view, plain=not out.is_terminal), out)
        return
    if form == "json" and output is None:
        print_json(as_json(view))
        return
    import json

    writers = {
        "terminal": lambda: plain_lines(study_report(view, plain=True)),
        "markdown": lambda: study_markdown(view),
        "html": lambda: study_page(view),
        "json": lambda: json.dumps(as_json(view), indent=2),
    }
    if output is None:
        out.file.write(writers[form]())
        return
    write_text(output, writers[form]())
    note(f"report: {output}")
