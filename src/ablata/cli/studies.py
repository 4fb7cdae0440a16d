"""`ablata study`: plan, run, watch, report, carry away."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.files import PAGE, refuse_other_kind
from ablata.base.quantities import quantity
from ablata.cli.asking import (
    Arms,
    CommandOption,
    CommandOptions,
    FirstSeed,
    Fixed,
    Inputs,
    Lower,
    Margin,
    Name,
    Question,
    RecipeOption,
    SaveAs,
    Scores,
    Screen,
    Seeds,
    Sets,
    Sources,
    StudyRequest,
    Timeout,
    TrustCode,
    WithHistory,
    WorkerCount,
)
from ablata.cli.confirm import Yes, agreed
from ablata.cli.console import err, note, out, print_json
from ablata.cli.runs import told

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.records.moving.exporting import LeftOut
    from ablata.studies.study import Study

app = typer.Typer(help="Ask whether a change helps, and get a verdict.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Recorded = Annotated[str, typer.Argument(help="A study in the ledger.")]


@app.command("plan")
def plan(
    name: Name = None,
    recipe: RecipeOption = None,
    command: CommandOption = None,
    sets: Sets = None,
    arm: Arms = None,
    seeds: Seeds = None,
    first_seed: FirstSeed = None,
    margin: Margin = None,
    score: Scores = None,
    lower: Lower = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    screen: Screen = False,
    force_fixed: Fixed = False,
    history: WithHistory = False,
    workers: WorkerCount = None,
    save_as: SaveAs = None,
    question: Question = None,
    json: Json = False,
) -> None:
    """Estimate what a study will cost and which effects it can detect, without training."""
    from ablata.api.studies import plan_study
    from ablata.records.ledger import Ledger

    asked = StudyRequest(
        name=name, recipe=recipe, command=command, program=CommandOptions.of(score, lower, timeout, inputs, source),
        sets=tuple(sets or ()), arms=tuple(arm or ()), seeds=seeds, first_seed=first_seed,
        margin=margin, screen=screen, fixed=force_fixed, history=history, save_as=save_as, question=question,
    )  # fmt: skip
    with Ledger() as ledger:
        planned = plan_study(asked.study(ledger), workers=workers, ledger=ledger)
    if json:
        print_json(planned.to_json())
    else:
        out.print(str(planned), markup=False)


@app.command("run")
def run(
    name: Name = None,
    recipe: RecipeOption = None,
    command: CommandOption = None,
    sets: Sets = None,
    arm: Arms = None,
    seeds: Seeds = None,
    first_seed: FirstSeed = None,
    margin: Margin = None,
    score: Scores = None,
    lower: Lower = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    screen: Screen = False,
    force_fixed: Fixed = False,
    history: WithHistory = False,
    workers: WorkerCount = None,
    save_as: SaveAs = None,
    question: Question = None,
    output: Annotated[Path | None, typer.Option(help="The HTML report to write; by default in the lab's home.")] = None,
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run a study to its verdicts. Interrupted or killed, the same command continues it."""
    from ablata.cli.reporting import print_report, write_report
    from ablata.records.ledger import Ledger

    asked = StudyRequest(
        name=name, recipe=recipe, command=command, program=CommandOptions.of(score, lower, timeout, inputs, source),
        sets=tuple(sets or ()), arms=tuple(arm or ()), seeds=seeds, first_seed=first_seed,
        margin=margin, screen=screen, fixed=force_fixed, history=history, save_as=save_as, question=question,
    )  # fmt: skip
    if output is not None:
        refuse_other_kind(output, PAGE)
    end_as_interrupted()
    with Ledger() as ledger:
        recorded = {row.name for row in ledger.studies.all()}
        study = name if name in recorded and asked.only_named else asked.study(ledger)
        done = launch(ledger, study, workers, trust_code=trust_code)
        print_report(ledger, done, "json" if json else "terminal")
        write_report(ledger, done, "html", output or ledger.home / "reports" / f"{done}.html")


def end_as_interrupted() -> None:
    """End at a scheduler's request, or with the terminal, as at an interrupt from the keyboard; with nohup go on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def launch(ledger: Ledger, study: Study | str | None, workers: int | None, *, trust_code: bool = False) -> str:
    """Run a study with a live table and return its name; interrupted, say how to go on.

    Raises:
        typer.Exit: with 1 after an interrupt.
    """
    from ablata.api.studies import run_study

    assert study is not None
    try:
        return run_study(study, workers=workers, progress=err, trust_code=trust_code, ledger=ledger).name
    except KeyboardInterrupt:
        note(f"go on with: ablata study run {study if isinstance(study, str) else study.name}")
        raise typer.Exit(1) from None


@app.command("status")
def status(name: Recorded, json: Json = False) -> None:
    """Show how far a study is: runs by state, verdicts so far, workers that no longer answer."""
    from ablata.cli.reporting import print_status
    from ablata.records.ledger import Ledger

    with Ledger(create=False) as ledger:
        print_status(ledger, name, json)


@app.command("report")
def report(
    name: Recorded,
    form: Annotated[
        str, typer.Option("--format", metavar="terminal|markdown|html|json", help="Form of the report.")
    ] = "terminal",
    output: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
) -> None:
    """Report a study in the terminal, as Markdown, HTML or JSON."""
    from ablata.api.studies import check_format
    from ablata.cli.reporting import print_report, write_report
    from ablata.records.ledger import Ledger

    check_format(form)
    with Ledger(create=False) as ledger:
        if output is None:
            print_report(ledger, name, form)
        else:
            write_report(ledger, name, form, output)


@app.command("list")
def list_studies(json: Json = False) -> None:
    """List the studies of the ledger, and those that come with the package."""
    from dataclasses import asdict

    from ablata.records.ledger import Ledger
    from ablata.studies.index import study_entries

    with Ledger(create=False) as ledger:
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
    name: Recorded,
    path: Annotated[Path, typer.Argument(help="The file to write, such as study.ablata.")],
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Include the weights.")] = False,
) -> None:
    """Write a study with its runs, curves and small files to one file."""
    from ablata.api.moving import export_study

    done = export_study(name, path, checkpoints=checkpoints)
    note(f"written: {done.path} with {done.runs} runs and {done.files} files")
    for reason, files in _by_reason(done.left_out).items():
        size = quantity(sum(left.bytes for left in files), "B")
        named = files[0].path if len(files) == 1 else f"{len(files)} files"
        hint = "; --checkpoints takes them along" if "checkpoint" in reason and not checkpoints else ""
        note(f"left out: {named} ({size}): {reason}{hint}")


@app.command("import")
def import_(path: Annotated[Path, typer.Argument(help="A file that `ablata study export` wrote.")]) -> None:
    """Read a study from a file. Runs that are here already are shared."""
    from ablata.api.moving import import_study

    done = import_study(path)
    note(f"study {done.study}: {done.taken} runs taken in, {done.shared} were here already")


@app.command("rm")
def remove(
    name: Recorded,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Leave its runs.")] = False,
    yes: Yes = False,
) -> None:
    """Remove a study, and the runs made for it that nothing else needs."""
    from ablata.api.housekeeping import removal_lines, remove_study

    told(remove_study(name, keep_runs=keep_runs, confirm=lambda planned: agreed(removal_lines(planned), yes)))


@app.command("rename")
def rename(old: Recorded, new: Annotated[str, typer.Argument(help="Its new name.")], yes: Yes = False) -> None:
    """Give a study another name; its runs, verdicts and page stay."""
    from ablata.api.housekeeping import rename_study

    if agreed([f"study {old} becomes {new}"], yes, question="Rename it?"):
        rename_study(old, new)
        note(f"study {old} is now {new}")
    else:
        raise typer.Exit(1)


def _by_reason(left_out: Sequence[LeftOut]) -> dict[str, list[LeftOut]]:
    groups: dict[str, list[LeftOut]] = {}
    for left in left_out:
        groups.setdefault(left.reason, []).append(left)
    return groups
