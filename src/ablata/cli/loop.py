"""`ablata loop`: the judge of a research loop, for people, programs and agents."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablata.base.errors import AblataError, SettingsError, UserError
from ablata.base.quantities import counted, duration
from ablata.cli.asking import CommandOption, CommandOptions, FirstSeed, Inputs, Lower, Scores, Sets, Sources, Timeout
from ablata.cli.console import err, fail, note, out, print_json, quick_imports
from ablata.cli.help import CommandGroup
from ablata.cli.loop_keeping import export, import_, remove, rename

if TYPE_CHECKING:
    from ablata.api.loops import Loop
    from ablata.records.rows import ProposalRow
    from ablata.stats.loop import LoopCost
    from ablata.studies.loops.trying import Answer

app = CommandGroup(help="Judge changes one after another against the best so far.")
app.command("rm")(remove)
app.command("rename")(rename)
app.command("export")(export)
app.command("import")(import_)

STATUSES = {"keep": 0, "discard": 1, "undecided": 3, "crash": 4, None: 6}
"""Exit statuses of `try`; 2 is wrong use, 6 waits for a worker."""
NO_ANSWER = 5
"""Exit status of `try` where the judge itself could not answer: interrupted, the baseline failed, no disk."""

Which = Annotated[
    str | None,
    typer.Option("--loop", metavar="NAME", help="The loop; by default the newest whose program lies in this folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command()
def start(
    name: Annotated[str, typer.Argument(help="The loop's name.", show_default=False)],
    command: CommandOption = None,
    recipe: Annotated[str | None, typer.Option("--recipe", metavar="NAME", help="A recipe to start from.")] = None,
    sets: Sets = None,
    score: Scores = None,
    lower: Lower = None,
    margin: Annotated[
        str | None,
        typer.Option(metavar="NUMBER", help="The largest difference that does not matter to you, in the score's unit."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="progress|claim",
            help="progress: each proposal is held against a level of its own; claim: at most a tenth of all kept "
            "changes are no improvement.",
        ),
    ] = "progress",
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Training time after which nothing more is run, such as 8h.")
    ] = None,
    worktree: Annotated[
        bool,
        typer.Option(
            "--worktree", help="Each proposal is a git commit, run in a worktree under the lab's home; see try --ref."
        ),
    ] = False,
    guards: Annotated[
        list[str] | None,
        typer.Option(
            "--guard",
            metavar="NAME:AMOUNT",
            help="A quantity that a kept change may not worsen by more than this, such as seconds:+3%.",
        ),
    ] = None,
    prefer_smaller: Annotated[
        str | None,
        typer.Option(metavar="lines|parameters|time", help="Keep changes that make no difference and save this."),
    ] = None,
    timeout: Timeout = None,
    inputs: Inputs = None,
    source: Sources = None,
    first_seed: FirstSeed = None,
) -> None:
    """Start a loop from a command or a recipe. It is run once, and how changes are judged is fixed."""
    with quick_imports():
        from ablata.api.loops import Loop
        from ablata.recipes.index import load_recipe
        from ablata.reports.loops.words import judged_words, noise_words

    program = CommandOptions.of(score, lower, timeout, inputs, source)
    if (command is None) == (recipe is None):
        raise SettingsError(
            "A loop starts from a command or a recipe", found="both" if command else "neither",
            do="--command 'python train.py --seed {seed}' --score acc, or --recipe digits",
        )  # fmt: skip
    if recipe is not None and program != CommandOptions(scores=program.scores[:1], lower=lower):
        raise SettingsError(
            "--timeout, --input, --source and several scores need a program",
            found=f"--recipe {recipe}",
            do="give --command, or leave them out",
        )
    begun: Any = _command(command, sets or (), program) if command is not None else load_recipe(str(recipe), sets or ())
    loop = Loop(
        begun, name, score=program.scores[0] if recipe and program.scores else None, lower=lower, margin=margin,
        mode=mode, budget=budget, guards=guards or (), prefer_smaller=prefer_smaller, worktree=worktree,
        first_seed=first_seed or 0, commands=(_typed(),), progress=err,
    )  # fmt: skip
    view = loop.view
    out.print(f"loop {name} is ready: {judged_words(view)}", markup=False)
    out.print(f"noise: {noise_words(view)}", markup=False)
    for warning in view.warnings:
        out.print(f"warning: {warning}", markup=False)
    example = "--ref HEAD" if worktree else "--set key=value"
    note(f'propose a change: ablata loop try "what it is" {example}')


def _command(text: str, sets: list[str] | tuple[str, ...], program: CommandOptions) -> Any:
    """Return the command that a loop starts from."""
    from ablata.studies.asking.comparing import one_command

    return one_command(text, sets, **vars(program))


def _typed() -> str:
    return shlex.join(["ablata", *sys.argv[1:]])


@app.command("try")
def try_(
    text: Annotated[str, typer.Argument(help="What is tried, in your words.", show_default=False)],
    ref: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="The git branch, tag or commit with the change.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the best so far to change.")
    ] = None,
    which: Which = None,
    asynchronous: Annotated[
        bool, typer.Option("--async", help="Only give it its place in the stream; `ablata loop work` tries it.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that train its runs side by side.", show_default=False)
    ] = 1,
    json: AsJson = False,
) -> None:
    """Try a change against the best so far. Exit 0: keep, 1: discard, 3: undecided, 4: crash, 2: wrong use."""

    def answer() -> Answer:
        loop = _loop(which)
        change: Any = f"git:{ref}" if ref is not None else tuple(sets or ())
        return loop.try_(
            change, text, sets=tuple(sets or ()) if ref else (), waits=asynchronous, workers=workers,
            expect=_expect(loop),
        )  # fmt: skip

    _answer(answer, json)


@app.command()
def retry(
    number: Annotated[int | None, typer.Argument(help="The proposal; by default the likeliest.")] = None,
    which: Which = None,
    json: AsJson = False,
) -> None:
    """Give a proposal that was not kept a second chance. Exits as `try` does.

    What stayed undecided goes on with more runs; what was discarded is tried as a new proposal, with runs of its own.
    """

    def answer() -> Answer:
        loop = _loop(which)
        return loop.retry(number, expect=_expect(loop))

    _answer(answer, json)


def _answer(ask: Callable[[], Answer], json: bool) -> None:
    """Print an answer and exit with its status; whatever goes wrong never looks like one."""
    try:
        given = ask()
    except UserError:
        raise
    except AblataError as error:
        fail(error)
        sys.exit(NO_ANSWER)
    except KeyboardInterrupt:
        note("interrupted; the same command goes on")
        sys.exit(NO_ANSWER)
    except Exception:
        if os.environ.get("ABLATA_DEBUG"):
            raise
        import traceback

        traceback.print_exc()
        sys.exit(NO_ANSWER)
    status = STATUSES[given.outcome]
    if json:
        print_json({**vars(given), "exit_status": status})
    else:
        _tell(given)
    sys.exit(status)


def answer_lines(given: Answer) -> list[str]:
    """Return what is printed of an answer."""
    word = (given.outcome or "waits").upper()
    lines = [f"{word}  {given.loop} #{given.number}: {given.text}", f"  {given.reason}"]
    lines += [f"  warning: {warning}" for warning in given.warnings]
    if given.trained:
        lines.append(f"  {counted(given.trained, 'run')} in {duration(given.seconds)}")
    return lines


def _expect(loop: Loop) -> Callable[[ProposalRow, LoopCost], None]:
    def tell(row: ProposalRow, cost: LoopCost) -> None:
        note(loop.expectation(row, cost))

    return tell


def _loop(which: str | None) -> Loop:
    from ablata.api.loops import Loop, loop_here

    return Loop(name=which or loop_here(), progress=err)


@app.command()
def work(
    which: Which = None,
    most: Annotated[int | None, typer.Option(min=1, help="Proposals to try at most; by default all that wait.")] = None,
    only: Annotated[int | None, typer.Option(hidden=True)] = None,
    launch: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Try the proposals that wait, in their order. Several of these may work side by side."""
    try:
        tried = _loop(which).work(most, only=only, launch=launch, told=_tell)
    except KeyboardInterrupt:
        note("interrupted; what was run is kept, and ablata loop work goes on")
        sys.exit(NO_ANSWER)
    if not tried:
        note("no proposal waits for a worker")


def _tell(given: Answer) -> None:
    for line in answer_lines(given):
        out.print(line, markup=False)


@app.command()
def status(which: Which = None, json: AsJson = False) -> None:
    """Say where a loop stands. That is: the best so far, what was gained, what is worth a second chance."""
    from ablata.reports.console import show
    from ablata.reports.loops.words import loop_status

    view = _loop(which).view
    if json:
        print_json(view.to_json())
    else:
        show(loop_status(view, plain=not out.is_terminal), out)


@app.command()
def log(
    which: Which = None,
    tsv: Annotated[
        Path | None,
        typer.Option(
            "--tsv", help="Write them to this file as agents' loops do, for dashboards that read results.tsv."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """List a loop's proposals: what became of each, and why."""
    from ablata.base.files import write_text
    from ablata.reports.console import show
    from ablata.reports.loops.words import loop_log, results_tsv

    loop = _loop(which)
    if tsv is not None:
        write_text(tsv, results_tsv(loop.view))
        note(f"written: {tsv}")
    elif json:
        print_json(loop.to_rows())
    else:
        show(loop_log(loop.view, plain=not out.is_terminal), out)


@app.command()
def report(
    which: Which = None,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.", show_default=False)] = None,
    json: AsJson = False,
) -> None:
    """Report on a loop: where it stands, and every proposal. With --html a page with its stream drawn."""
    from rich.console import Group
    from rich.text import Text

    from ablata.reports.console import show
    from ablata.reports.loops.words import loop_log, loop_status

    loop, plain = _loop(which), not out.is_terminal
    view = loop.view
    if json:
        print_json(view.to_json())
    else:
        show(Group(loop_status(view, plain=plain), Text(), loop_log(view, plain=plain)), out)
    if html is not None:
        note(f"page: {loop.report(html)}")


@app.command()
def best(
    which: Which = None,
    short: Annotated[bool, typer.Option("--short", help="Print its commit or settings alone, for a script.")] = False,
    json: AsJson = False,
) -> None:
    """Print the best so far: its commit or its settings."""
    from ablata.reports.loops.words import best_words

    view = _loop(which).view
    found = view.proposals[view.best]
    if json:
        told = {"loop": view.name, "number": found.number, "text": found.text}
        print_json(told | {"commit": found.commit or None, "settings": list(view.best_sets)})
    elif short:
        out.print(found.commit or " ".join(view.best_sets), markup=False)
    else:
        out.print(best_words(view), markup=False)
        if view.best_sets:
            out.print(f"settings {' '.join(view.best_sets)}", markup=False)


@app.command()
def confirm(
    which: Which = None,
    runs: Annotated[int | None, typer.Option(min=2, help="Fresh runs of each side.")] = None,
    json: AsJson = False,
) -> None:
    """Run start and best again with fresh seeds: the honest gain."""
    from ablata.reports.loops.words import gain_words

    loop = _loop(which)
    loop.confirm(runs)
    view = loop.view
    if json:
        print_json({**view.to_json()["confirmed"], "claimed": view.claimed})
    else:
        out.print(f"{view.name}: {gain_words(view)}", markup=False)


@app.command()
def audit(
    file: Annotated[Path, typer.Argument(help="A log of a loop that kept what looked better, such as results.tsv.")],
    score: Annotated[str | None, typer.Option(metavar="COLUMN", help="The score's column.")] = None,
    lower: Lower = None,
    noise: Annotated[
        float | None,
        typer.Option(help="The standard deviation of a run's score; by default from repeats in the log."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page to this file.", show_default=False)] = None,
    json: AsJson = False,
) -> None:
    """Say which changes of a greedy loop could have been noise. And which to test again first."""
    with quick_imports():
        from ablata.api.judging import judge
        from ablata.api.trial_logs import JudgedLog, in_git
        from ablata.reports.console import show
        from ablata.reports.trial_log.words import log_report

    judged = judge(file, score=score, lower=lower, noise=noise, log=True)
    assert isinstance(judged, JudgedLog), "asked for a log"
    again = in_git(judged.again_first(), file.resolve().parent)
    if json:
        print_json({**judged.to_json(), "test_again_first": again})
    else:
        show(log_report(judged.view, plain=not out.is_terminal), out)
        for line in _again_lines(again):
            out.print(line, markup=False)
    if html is not None:
        note(f"page: {judged.report(html)}")


def _again_lines(again: list[dict[str, Any]]) -> list[str]:
    """Return what is printed of the changes to test again, with what to type where git has their commits."""
    if not again:
        return []
    lines = ["", "Test again first:"]
    for place, one in enumerate(again, 1):
        lines.append(f"{place}. row {one['row']}, {one['change']}: {one['why']}")
        if one["ref"] and one["before"]:
            lines.append(f"   commit {one['ref'][:10]} beside {one['before'][:10]}, the best before it")
        elif one["commit"]:
            lines.append(f"   commit {one['commit']} is not in this repository")
    if any(one["ref"] and one["before"] for one in again):
        first = next(one for one in again if one["ref"] and one["before"])
        place, ref = first["before"][:10], first["ref"][:10]
        lines += [
            "",
            "For the first of them:",
            f"   git checkout {place} && ablata loop start again --worktree --command COMMAND --score SCORE --margin M",
            f"   ablata loop try {shlex.quote(first['change'])} --ref {ref}",
        ]
    return lines
