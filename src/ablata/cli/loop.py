"""`ablata loop`: the judge of a research loop, for people, programs and agents."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablata.base.errors import AblataError, SettingsError, UserError
from ablata.base.quantities import duration
from ablata.cli.asking import CommandOption, CommandOptions, FirstSeed, Inputs, Lower, Scores, Sets, Sources, Timeout
from ablata.cli.console import err, fail, note, out, print_json, quick_imports
from ablata.cli.help import CommandGroup

if TYPE_CHECKING:
    from ablata.api.loops import Loop
    from ablata.records.rows import ProposalRow
    from ablata.stats.loop import LoopCost
    from ablata.studies.loops.trying import Answer

app = CommandGroup(help="Judge one proposed change after another against the best so far.")

STATUSES = {"keep": 0, "discard": 1, "undecided": 3, "crash": 4, None: 0}
"""Exit statuses of `try`; 2 is wrong use."""
NO_ANSWER = 5
"""Exit status of `try` where the judge itself could not answer: interrupted, the baseline failed, no disk."""

Which = Annotated[
    str | None, typer.Option("--loop", metavar="NAME", help="The loop; by default the one that was started last.")
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
    """Start a loop: run what it starts from once, and fix how proposals are judged."""
    with quick_imports():
        from ablata.api.loops import Loop
        from ablata.recipes.index import load_recipe

    program = CommandOptions.of(score, lower, timeout, inputs, source)
    if (command is None) == (recipe is None):
        raise SettingsError(
            "A loop starts from a command or a recipe", found="both" if command else "neither",
            do="--command 'python train.py --seed {seed}' --score acc, or --recipe digits",
        )  # fmt: skip
    if recipe is not None and program != CommandOptions(scores=program.scores[:1], lower=lower):
        raise SettingsError(
            "--timeout, --input, --source and several scores need a program", found=f"--recipe {recipe}"
        )
    begun: Any = _command(command, sets or (), program) if command is not None else load_recipe(str(recipe), sets or ())
    loop = Loop(
        begun, name, score=program.scores[0] if recipe and program.scores else None, lower=lower, margin=margin,
        mode=mode, budget=budget, guards=guards or (), prefer_smaller=prefer_smaller, worktree=worktree,
        first_seed=first_seed or 0, commands=(_typed(),), progress=err,
    )  # fmt: skip
    out.print(f"loop {name} is ready: {loop.rule_words()}", markup=False)
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
    json: AsJson = False,
) -> None:
    """Try a change against the best so far. Exit 0: keep, 1: discard, 3: undecided, 4: crash, 2: wrong use."""

    def answer() -> Answer:
        loop = _loop(which)
        change: Any = f"git:{ref}" if ref is not None else tuple(sets or ())
        return loop.try_(change, text, sets=tuple(sets or ()) if ref else (), waits=asynchronous, expect=_expect(loop))

    _answer(answer, json)


@app.command()
def retry(
    number: Annotated[int | None, typer.Argument(help="The proposal; by default the likeliest.")] = None,
    which: Which = None,
    json: AsJson = False,
) -> None:
    """Give a proposal that stayed undecided, or crashed, a second chance. Exits as `try` does."""

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
        for line in answer_lines(given):
            out.print(line, markup=False)
    sys.exit(status)


def answer_lines(given: Answer) -> list[str]:
    """Return what is printed of an answer."""
    word = (given.outcome or "waits").upper()
    lines = [f"{word}  {given.loop} #{given.number}: {given.text}", f"  {given.reason}"]
    if given.trained:
        lines.append(f"  {given.trained} runs in {duration(given.seconds)}")
    return lines


def _expect(loop: Loop) -> Callable[[ProposalRow, LoopCost], None]:
    def tell(row: ProposalRow, cost: LoopCost) -> None:
        note(loop.expectation(row, cost))

    return tell


def _loop(which: str | None) -> Loop:
    from ablata.api.loops import Loop, newest_loop

    return Loop(name=which or newest_loop(), progress=err)
