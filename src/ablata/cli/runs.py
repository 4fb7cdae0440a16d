"""`ablata runs`: what has been trained, one run in full, two side by side; runs removed and checkpoints thinned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablata.base.errors import SettingsError
from ablata.base.quantities import counted, quantity
from ablata.cli.asking import TrustCode, Yes
from ablata.cli.console import agreed, note, out, print_json
from ablata.cli.help import CommandGroup
from ablata.cli.settings import SettingsToChange
from ablata.cli.train import show_training

if TYPE_CHECKING:
    from ablata.records.moving.exporting import Exported, LeftOut
    from ablata.records.removal import Removal

app = CommandGroup(help="List, show, compare, continue and remove runs.")
LISTED = 200
"""Runs that a list shows unless it is told how many: a lab of many thousands is read by filters."""

RecipeFilter = Annotated[
    str | None, typer.Option("--recipe", metavar="NAME", help="Only runs of this recipe (name or hash).")
]
StudyFilter = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Only runs of this study.")]
StateFilter = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help="Only runs in this state: waiting, running, completed, failed, diverged, cancelled.",
    ),
]


@app.command("list")
def list_runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Only runs with these words in id, recipe, study, settings, error."),
    ] = None,
    study: StudyFilter = None,
    recipe: RecipeFilter = None,
    state: StateFilter = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"List the newest, this many; {LISTED} by default, as JSON all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List runs, newest first. With studies and arms, age, size, what differs, and the last scores."""
    from ablata.api.runs import found_views
    from ablata.records.ledger import Ledger
    from ablata.reports.console import show
    from ablata.reports.terminal import runs_json, runs_table

    most = limit or (None if json else LISTED)
    with Ledger(create=False) as ledger:
        home, asked = ledger.home, most and most + 1
        rows = found_views(ledger, study=study, recipe=recipe, state=state, words=words or (), limit=asked)
    if json:
        print_json(runs_json(rows[:most]))
    elif rows:
        show(runs_table(rows[:most], plain=not out.is_terminal), out)
        if limit is None and len(rows) > LISTED:
            note(f"the newest {LISTED} runs; --limit N lists more, and words and filters fewer")
    elif study or recipe or state or words:
        note(f"no run in the lab {home} passes these filters")
    else:
        note(f"no runs in the lab {home} (ABLATA_HOME names another): start one with `ablata train digits`")


@app.command("show")
def show_run(
    run: Annotated[str, typer.Argument(help="A run's id, a beginning of it, or its folder.")],
    output: Annotated[
        Path | None, typer.Option(help="Write an HTML page here, with scores, curves and predictions.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one run. Recipe, scores, its best step, cost, events, files, its curves drawn small."""
    from ablata.api.runs import run as find_run
    from ablata.reports.terminal import curve_line

    found = find_run(run)
    if output is not None:
        note(f"written: {found.page(output)}")
    if json:
        print_json(found.facts())
    elif output is None:
        plain = not out.is_terminal
        _print_facts(found.facts() | {"curves": {name: curve_line(*curve, plain) for name, curve in found.drawn()}})


_TIMES = ("created", "started", "finished", "heartbeat", "lease_until")


def _print_facts(facts: dict[str, Any]) -> None:
    from ablata.reports.collect import moment

    for key, value in facts.items():
        if key == "curves":
            for name, told in value.items():
                out.print(f"curve {name}: {told}", markup=False)
        elif isinstance(value, dict):
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
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or a beginning of it.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another run's id, or a beginning of it.")],
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


@app.command("continue")
def continue_run(
    run: Annotated[str, typer.Argument(help="Id of a run that has ended, or a beginning of it.")],
    overrides: SettingsToChange = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the new run; by default that of the old one.")
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="last|best", help="Checkpoint whose weights the new run begins with.")
    ] = "last",
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a new run that begins with a run's weights. An interrupted run goes on by `ablata train --resume`."""
    if checkpoint not in ("last", "best"):
        raise SettingsError(
            "--checkpoint must be last or best", found=checkpoint, do="--checkpoint best, or leave it out"
        )
    from ablata.api.continuing import continue_run as train_on

    show_training(
        lambda ledger, progress: train_on(
            run, overrides=overrides or [], seed=seed, checkpoint=checkpoint, progress=progress,  # type: ignore[arg-type]
            check=False, trust_code=trust_code, ledger=ledger,
        ),
        json,
    )  # fmt: skip


@app.command("export")
def export(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Ids of runs; without one, all that pass."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a table here: a row a run, settings that differ, scores, costs.")
    ] = None,
    curves: Annotated[Path | None, typer.Option(help="Write a table here: a row a point of a curve.")] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write TensorBoard event files into this folder, a folder a run.")
    ] = None,
    study: StudyFilter = None,
    recipe: RecipeFilter = None,
    state: StateFilter = None,
) -> None:
    """Write runs as CSV, or as event files for TensorBoard."""
    from ablata.api.exporting import export_runs

    done = export_runs(
        *(runs or ()), csv=csv, curves=curves, tensorboard=tensorboard, study=study, recipe=recipe, state=state
    )
    where = [str(file) for file in done.files if tensorboard is None or tensorboard not in file.parents]
    events = len(done.files) - len(where)
    where += [] if tensorboard is None else [f"{tensorboard} ({events} event file{'s' * (events != 1)})"]
    note(f"written: {', '.join(where)}, of {counted(done.runs, 'run')}")


@app.command("stop")
def stop(run: Annotated[str, typer.Argument(help="Id of a run on this machine, or a beginning of it.")]) -> None:
    """Stop a training on this machine. It finishes its step and is saved."""
    from ablata.api.stopping import stop_run

    note(f"run {(found := stop_run(run))} was asked to stop; go on with: ablata train --resume {found}")


@app.command("cancel")
def cancel(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of waiting runs, or beginnings of them.")],
) -> None:
    """Cancel runs that wait, unless an open study needs them."""
    from ablata.api.stopping import cancel_run

    note(f"cancelled: {', '.join([cancel_run(run) for run in runs])}")


@app.command("rm")
def remove(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs, or beginnings of them.")],
    yes: Yes = False,
) -> None:
    """Remove runs with their curves and files. One that a study or another run needs is refused."""
    from ablata.api.housekeeping import removal_lines, remove_runs

    told(remove_runs(*runs, confirm=lambda planned: agreed(removal_lines(planned), yes)))


@app.command("prune")
def prune(
    keep: Annotated[
        str | None,
        typer.Option(metavar="best|last", help="Remove no run, but the other checkpoint of each completed run."),
    ] = None,
    study: StudyFilter = None,
    recipe: RecipeFilter = None,
    state: StateFilter = None,
    yes: Yes = False,
) -> None:
    """Remove ended runs that no study and no other run needs."""
    from ablata.api.housekeeping import Thinned, prune_runs, removal_lines, thin_checkpoints

    if keep is None:
        told(
            prune_runs(
                study=study, recipe=recipe, state=state, confirm=lambda planned: agreed(removal_lines(planned), yes)
            )
        )
        return
    if state is not None:
        raise SettingsError(
            "--keep removes checkpoints of completed runs alone",
            found=f"--state {state} with --keep",
            do="leave --state out",
        )

    def asked(planned: Thinned) -> bool:
        other = "last" if keep == "best" else "best"
        size = quantity(planned.total_bytes, "B")
        return agreed([f"the {other} checkpoint of {counted(len(planned.files), 'run')}, {size}; {keep} stays"], yes)

    thinned = thin_checkpoints(keep, study=study, recipe=recipe, confirm=asked)  # type: ignore[arg-type]
    if thinned is None:
        raise typer.Exit(1)
    if not thinned.files:
        note(f"nothing to remove: no completed run has another checkpoint beside {keep} that can go")
        return
    note(f"removed {counted(len(thinned.files), 'checkpoint')}, {quantity(thinned.total_bytes, 'B')}")


def told(removed: Removal | None) -> None:
    """Say what was removed.

    Raises:
        typer.Exit: with 1 after a no.
    """
    if removed is None:
        note("nothing was removed")
        raise typer.Exit(1)
    if not removed.runs and removed.study is None and removed.loop is None:
        note("nothing to remove: studies need every ended run, or others start from it")
        return
    named = f"study {removed.study}" if removed.study else f"loop {removed.loop}" if removed.loop else ""
    what = f"{named} and " if named else ""
    runs = f"{counted(len(removed.runs), 'run')}"
    note(f"removed {what}{runs}, {quantity(removed.total_bytes, 'B')}")


def written(done: Exported, checkpoints: bool) -> None:
    """Say what went into an exported file, and what was left out."""
    note(f"written: {done.path} with {counted(done.runs, 'run')} and {counted(done.files, 'file')}")
    groups: dict[str, list[LeftOut]] = {}
    for left in done.left_out:
        groups.setdefault(left.reason, []).append(left)
    for reason, files in groups.items():
        size = quantity(sum(left.bytes for left in files), "B")
        named = files[0].path if len(files) == 1 else counted(len(files), "file")
        hint = "; --checkpoints takes them along" if "checkpoint" in reason and not checkpoints else ""
        note(f"left out: {named} ({size}): {reason}{hint}")
