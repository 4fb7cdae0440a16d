"""`ablata runs`: what has been trained, one run in full, two runs side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.cli.console import note, out, print_json

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.records.rows import RunRow

app = typer.Typer(help="List runs, show one, compare two.", no_args_is_help=True)


@app.command("list")
def list_runs(
    study: Annotated[str | None, typer.Option(help="Only the runs of this study.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only runs of this recipe (name or hash).")] = None,
    state: Annotated[str | None, typer.Option(help="Only runs in this state.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many, the newest.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List runs, newest first, with their last scores."""
    from ablata.base.errors import SettingsError, listing
    from ablata.records.ledger import Ledger
    from ablata.reports.collect_runs import run_views
    from ablata.reports.console import show
    from ablata.reports.terminal import runs_json, runs_table

    states = ("waiting", "running", "completed", "failed", "diverged", "cancelled")
    if state is not None and state not in states:
        raise SettingsError(f"--state must be one of {listing(states)}", found=state)
    with Ledger() as ledger:
        found = ledger.runs.find(study=study, recipe=recipe, state=state, limit=limit)  # type: ignore[arg-type]
        rows = run_views(ledger, found)
    if json:
        print_json(runs_json(rows))
    elif rows:
        show(runs_table(rows, plain=not out.is_terminal), out)
    else:
        note("no runs: start one with `ablata train digits`")


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="Its id, or a beginning of it.")],
    output: Annotated[
        Path | None, typer.Option(help="Write an HTML page here: scores, classes, curves, images of predictions.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one run: recipe, scores, cost, events, files."""
    from dataclasses import asdict

    from ablata.records.evaluations import read_evaluations
    from ablata.records.ledger import Ledger

    with Ledger() as ledger:
        found = ledger.runs.get(run)
        if output is not None:
            _write_page(ledger, found, output)
        facts = asdict(found)
        facts["folder"] = str(ledger.runs.folder(found))
        facts["studies"] = ledger.runs.studies_of(found.id)
        facts["evaluations"] = [asdict(one) for one in read_evaluations(ledger.runs.folder(found))]
        facts["events"] = [asdict(event) for event in ledger.events.find(run_id=found.id)]
        facts["settings"] = ledger.runs.recipe(found.recipe_hash)
        facts["environment_description"] = ledger.environments.get(found.environment)
    if json:
        print_json(facts)
        return
    if output is not None:
        return
    for key, value in facts.items():
        if isinstance(value, dict):
            out.print(f"{key}:", markup=False)
            for name, inner in value.items():
                out.print(f"  {name} = {inner}", markup=False)
        elif isinstance(value, list):
            for item in value:
                out.print(f"{key}: {item}", markup=False)
        else:
            out.print(f"{key} = {value}", markup=False)


def _write_page(ledger: Ledger, run: RunRow, path: Path) -> None:
    from ablata.base.files import write_text
    from ablata.records.evaluations import read_evaluations
    from ablata.records.gallery import read_gallery
    from ablata.reports.collect_runs import run_curves, run_view
    from ablata.reports.evaluated import evaluation_sections
    from ablata.reports.html import run_page
    from ablata.reports.visuals import run_sections

    way = os.path.relpath(ledger.home, path.absolute().parent) + "/"
    shown = read_gallery(ledger.runs.folder(run))
    extra = (
        *evaluation_sections(read_evaluations(ledger.runs.folder(run))),
        *(run_sections(shown) if shown is not None else ()),
    )
    write_text(path, run_page(run_view(run, home=way), run_curves(ledger, run), extra))
    note(f"written: {path}")


@app.command("compare")
def compare_runs(
    first: Annotated[str, typer.Argument(help="A run's id, or a beginning of it.")],
    second: Annotated[str, typer.Argument(help="Another run's id.")],
    output: Annotated[Path | None, typer.Option(help="Write an HTML page here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs: settings that differ, scores, cost, curves."""
    from ablata.base.files import write_text
    from ablata.records.ledger import Ledger
    from ablata.reports.collect_runs import compare_view
    from ablata.reports.console import show
    from ablata.reports.html import compare_page
    from ablata.reports.terminal import compare_report
    from ablata.reports.view import as_json

    with Ledger() as ledger:
        view = compare_view(ledger, first, second)
    if json:
        print_json(as_json(view))
    elif output is None:
        show(compare_report(view, plain=not out.is_terminal), out)
    if output is not None:
        write_text(output, compare_page(view))
        note(f"written: {output}")
