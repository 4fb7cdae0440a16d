"""`ablata compare`: does a change of a command help?"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.base.files import PAGE, refuse_other_kind
from ablata.cli.asking import (
    STAND_IN,
    Arms,
    Budget,
    ClusterRule,
    CommandOptions,
    Effect,
    Extendable,
    FirstSeed,
    Fixed,
    Guards,
    Inputs,
    Lower,
    Margin,
    NoiseFrom,
    Pilot,
    Question,
    SaveAs,
    Scores,
    Screen,
    Sets,
    Sources,
    Timeout,
    WorkerCount,
)
from ablata.cli.console import note, out, quick_imports

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.trainers.command import Command


def compare(
    commands: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND...", help="Commands with {seed} in them; the first is the control.", show_default=False
        ),
    ],
    score: Scores = None,
    sets: Sets = None,
    arm: Arms = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs of each command, at most; 5 by default.")] = None,
    budget: Budget = None,
    pilot: Pilot = None,
    effect: Effect = None,
    first_seed: FirstSeed = None,
    lower: Lower = None,
    margin: Margin = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    noise: NoiseFrom = None,
    clusters: ClusterRule = None,
    guard: Guards = None,
    screen: Screen = False,
    force_fixed: Fixed = False,
    extendable: Extendable = False,
    non_inferior: Annotated[
        bool,
        typer.Option(
            "--non-inferior",
            help="For a pull request: is a command worse than the first by more than --margin? Judged once, after all "
            "seeds. Exit 0: shown, 1: one is worse, 3: not shown with these seeds.",
        ),
    ] = False,
    workers: WorkerCount = None,
    save_as: SaveAs = None,
    question: Question = None,
    output: Annotated[Path | None, typer.Option(help="The HTML report to write; by default in the lab's home.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run the control once and show what would be read; record nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run commands with several seeds each; say which is better. Interrupted or killed, the same command goes on."""
    with quick_imports():
        from ablata.cli.studies.continuing import end_as_interrupted, launch
        from ablata.cli.studies.reporting import print_report, write_report
        from ablata.cli.studies.sizing import sized
        from ablata.records.ledger import Ledger
        from ablata.studies.asking.comparing import compare_commands
        from ablata.studies.asking.naming import guarded
        from ablata.studies.asking.typed import StudyTerms

    program = CommandOptions.of(score, lower, timeout, inputs, source)
    if seeds is not None and budget is not None:
        raise SettingsError(
            "Give --seeds or --budget, not both", found=f"--seeds {seeds} --budget {budget}", do="leave one of them out"
        )
    terms = StudyTerms(
        seeds=seeds or STAND_IN, budget=budget, first_seed=first_seed, margin=margin, lower=lower, screen=screen,
        fixed=force_fixed, extendable=extendable, non_inferior=non_inferior, name=save_as, question=question,
        noise=noise, clusters=clusters,
    )  # fmt: skip
    study = compare_commands(commands, arm or (), sets or (), terms, **program.without_direction())
    study = guarded(study, guard, named=save_as is not None) if guard else study
    if dry_run:
        _show_one(study.recipes["control"])  # type: ignore[arg-type]
        return
    if output is not None:
        refuse_other_kind(output, PAGE)
    if "unseeded" in study.spec():
        _accept_repeats()
    end_as_interrupted()
    with Ledger() as ledger:
        ready = sized(ledger, study, budget, pilot, effect, workers, chosen=seeds is not None or pilot is None)
        if ready is None:
            return
        done = launch(ledger, ready, workers)
        print_report(ledger, done, "json" if json else "terminal")
        write_report(ledger, done, "html", output or ledger.home / "reports" / f"{done}.html")
        status = _non_inferior(ledger, done) if non_inferior else 0
    if status:
        raise typer.Exit(status)


def _non_inferior(ledger: Ledger, study: str) -> int:
    """Say of each arm whether it is shown not to be worse, and return the exit status."""
    from ablata.reports.collect import study_view

    view = study_view(ledger, study, curves=False)
    words = {
        "within": "not worse by more than", "beyond": "worse by more than", "open": "not shown to keep within",
    }  # fmt: skip
    states = set[str]()
    for arm in view.treatments:
        guard = arm.guards[0]
        failed = arm.verdict == "unstable"
        states.add("beyond" if failed else guard.state)
        told = f"{words[guard.state]} {guard.allowed.lstrip('+-')} of {guard.name}"
        note(f"{arm.name}: {'runs of it failed' if failed else told}")
    return 1 if "beyond" in states else 3 if "open" in states else 0


def _accept_repeats() -> None:
    """Say that runs without a seed are repeats, and ask whether that is meant, where somebody can answer."""
    note("unseeded repeats: a command has no {seed}, so its runs differ by chance alone and are compared unpaired")
    if sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm("Run it as repeats?", abort=True, err=True)


def _show_one(command: Command) -> None:
    """Run a command once and print what its output would be read as."""
    from ablata.base.quantities import duration, quantity
    from ablata.trainers.hooks import HOOK_FILE, handed_over
    from ablata.trainers.output_curves import points
    from ablata.trainers.process import last_lines, run_program
    from ablata.trainers.score_source import line_of, read_score

    with tempfile.TemporaryDirectory() as name:
        folder, printed = Path(name), Path(name) / "output.log"
        words = command.argument_list(seed=0, run_dir=folder)
        environment = os.environ | {"ABLATA_SEED": "0", "ABLATA_RUN_DIR": name}
        where = Path(command.folder)
        ended = run_program(words, folder=where, environment=environment, output=printed, timeout=command.timeout)
        text = printed.read_text(errors="replace")
        out.print(f"command  {command.text()}", markup=False)
        memory = quantity(ended.memory, "B") if ended.memory else "memory not measured: it ended too soon"
        out.print(f"ended    status {ended.status} after {duration(ended.seconds)}, {memory}")
        for said in last_lines(printed, 5):
            out.print(f"  | {said}", markup=False)
        if ended.reason:
            raise SettingsError(
                f"A run must end within {duration(command.timeout)}",
                found="it was ended then",
                do="give it more by --timeout, or make it shorter",
            )
        if ended.status != 0:
            raise SettingsError(
                "The program must end with status 0",
                found=f"status {ended.status}",
                do="mend what it printed above, and ask again",
            )
        file = folder / HOOK_FILE
        handed, scores = handed_over(file.read_text().splitlines() if file.exists() else ())
        for source in command.sources_of_scores:
            value = read_score(source, text, (folder, where), scores)
            line = line_of(source.name, text) if source.kind == "output" and source.name not in scores else None
            out.print(f"score    {source.text} is {value:g}" + (f"   (from: {line})" if line else ""), markup=False)
        curves = sorted({name for _, name, _ in [*points(text.splitlines()), *handed]})
        out.print(f"curves   {', '.join(curves) or 'none: no line names a step or an epoch'}", markup=False)
        if not command.is_seeded:
            note("the command has no {seed}: its runs would be unseeded repeats")
