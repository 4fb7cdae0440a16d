"""`ablata runs`: what has been trained, one run in full, two runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ablata.cli.console import note, out, print_json

app = typer.Typer(help="List runs, show one, compare two.", no_args_is_help=True)


@app.command("list")
def list_runs(
    study: Annotated[str | None, typer.Option(help="Only runs of this study.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only runs of this recipe (name or hash).")] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only runs in this state: waiting, running, completed, failed, diverged, cancelled."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="List only the newest, this many.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List runs, newest first, with their last scores."""
    from ablata.api.runs import find_runs
    from ablata.records.ledger import Ledger
    from ablata.reports.collect_runs import run_views
    from ablata.reports.console import show
    from ablata.reports.terminal import runs_json, runs_table

    with Ledger(create=False) as ledger:
        home = ledger.home
        rows = run_views(ledger, find_runs(ledger, study=study, recipe=recipe, state=state, limit=limit))
    if json:
        print_json(runs_json(rows))
    elif rows:
        show(runs_table(rows, plain=not out.is_terminal), out)
    else:
        note(f"no runs in the lab {home} (ABLATA_HOME names another): start one with `ablata train digits`")


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="A run's id, or a beginning of it.")],
    output: Annotated[
        Path | None, typer.Option(help="Write an HTML page here, with scores, curves and predictions.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one run: recipe, scores, cost, events, files."""
    from ablata.api.runs import run as find_run

    found = find_run(run)
    if output is not None:
        note(f"written: {found.page(output)}")
    if json:
        print_json(found.facts())
    elif output is None:
        _print_facts(found.facts())


_TIMES = ("created", "started", "finished", "heartbeat", "lease_until")


def _print_facts(facts: dict[str, Any]) -> None:
    from ablata.reports.collect import moment

    for key, value in facts.items():
        if isinstance(value, dict):
            out.print(f"{key}:", markup=False)
            for name, inner in value.items():
                out.print(f"  {name} = {inner}", markup=False)
        elif isinstance(value, list):
            for item in value:
                told = item | {"time": moment(item["time"])} if key == "events" else item
                out.print(f"{key}: {told}", markup=False)
        else:
            dated = key in _TIMES and isinstance(value, float)
            out.print(f"{key} = {moment(value) if dated else value}", markup=False)


@app.command("compare")
def compare_runs(
    first: Annotated[str, typer.Argument(help="A run's id, or a beginning of it.")],
    second: Annotated[str, typer.Argument(help="Another run's id, or a beginning of it.")],
    output: Annotated[Path | None, typer.Option(help="Write an HTML page here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs: settings that differ, scores, cost, curves."""
    from ablata.api.runs import compare_runs as compare
    from ablata.base.files import PAGE, refuse_other_kind, write_text
    from ablata.reports.console import show
    from ablata.reports.html import compare_page
    from ablata.reports.terminal import compare_report
    from ablata.reports.view import as_json

    view = compare(first, second)
    if json:
        print_json(as_json(view))
    elif output is None:
        show(compare_report(view, plain=not out.is_terminal), out)
    if output is not None:
        refuse_other_kind(output, PAGE)
        write_text(output, compare_page(view))
        note(f"written: {output}")
