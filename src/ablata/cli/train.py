"""`ablata train`: one recipe, one seed, with progress; interrupted or killed, it goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import StoppedError
from ablata.base.quantities import duration, quantity
from ablata.cli.asking import StoreAddress, TrustCode
from ablata.cli.console import err, note, out, print_json
from ablata.cli.settings import SettingsToChange, refuse_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablata.api.progress import TrainingProgress
    from ablata.api.runs import RunResult
    from ablata.engine.train import TrainResult
    from ablata.records.ledger import Ledger
    from ablata.records.rows import RunRow


def train(
    context: typer.Context,
    recipe: Annotated[str | None, typer.Argument(help="A name, or path/to/file.py:function.")] = None,
    overrides: SettingsToChange = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of initialization, data order and augmentation; 0 by default.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Continue this run.")] = None,
    store: StoreAddress = None,
    trust_code: TrustCode = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a recipe. Under torchrun several processes share its batch."""
    if resume is not None and recipe is not None and "=" in recipe:
        overrides = [recipe, *(overrides or [])]
        recipe = None
        refuse_options(context, overrides)
    if recipe is not None:
        _check_form(recipe, overrides or [])
    from ablata.api.training import train as train_run

    show_training(
        lambda ledger, progress: train_run(
            recipe, seed=seed, overrides=overrides or [], resume=resume, progress=progress, check=False,
            trust_code=trust_code, ledger=ledger,
        ),
        json,
        store,
    )  # fmt: skip


def show_training(
    training: Callable[[Ledger, TrainingProgress], RunResult], json: bool, store: str | None = None
) -> None:
    """Train, show how it goes, and print what it came to.

    Args:
        training: trains a run in a ledger, telling its progress.
        json: print the result as JSON.
        store: where the files of runs are kept for other machines; None: where the lab does.

    Raises:
        typer.Exit: with 1 where it was interrupted or diverged.
    """
    from ablata.api.progress import TrainingProgress
    from ablata.engine.hardware.process_group import from_environment
    from ablata.records.ledger import Ledger

    if not from_environment().is_main:
        err.quiet = out.quiet = True
    with Ledger(store=store) as ledger:

        def ended(run: RunRow, outcome: TrainResult | None, last: bool) -> None:
            if not json:
                _print_run(ledger, run, outcome)

        try:
            result = training(ledger, TrainingProgress(err, ended))
        except StoppedError as error:
            note(f"{error.must}\n{error.do}")
            raise typer.Exit(1) from None
        if json:
            print_json({"run": result.run, "state": result.state, "recipe": result.recipe, "seed": result.seed,
                        "scores": result.row.scores, "cost": result.row.cost, "error": result.error,
                        "folder": result.row.folder})  # fmt: skip
        elif result.row.parent is not None:
            _print_chain(ledger, result.row)
    if result.state == "diverged":
        raise typer.Exit(1)


def _check_form(recipe: str, overrides: list[str]) -> None:
    """Refuse what needs no torch to be refused: an unknown name, an argument that is no key=value."""
    from ablata.base.overrides import parse
    from ablata.recipes.index import check_reference

    check_reference(recipe)
    for argument in overrides:
        parse(argument)


def _print_run(ledger: Ledger, run: RunRow, outcome: TrainResult | None) -> None:
    """Print what a run came to."""
    if outcome is not None and outcome.best is not None:
        note(f"best checkpoint: {outcome.best['why']}")
    if outcome is None and run.state == "completed":
        note(f"run {run.id} (this recipe, code, data, seed and machine) has ended already:")
    if run.error:
        out.print(f"{run.state}: {run.error}", markup=False)
    for name, value in (run.scores or {}).items():
        out.print(f"{name} = {value:.6g}", markup=False)
    cost = run.cost or {}
    if "images_per_second" in cost:
        # The first steps are not timed: a run of three has no rate.
        rate = f"{quantity(cost['images_per_second'])} images/s, " if cost["images_per_second"] else ""
        note(f"{duration(cost['seconds'])}, {rate}peak memory {quantity(cost['peak_memory_bytes'], 'B')}")
    note(f"folder: {ledger.runs.folder(run)}")


def _print_chain(ledger: Ledger, run: RunRow) -> None:
    """Print each round of a chain beside the one before, by the recipe's own metric."""
    from ablata.studies.chain import ancestry
    from ablata.studies.identity import restore_run

    # Whether its code may run was asked when it was trained or resumed.
    metric = restore_run(ledger, run, trust=True).metric()
    taught_key = replace(metric, name=f"teacher_{metric.name}").key
    out.print(f"\nround  {metric.key}", markup=False)
    for number, row in enumerate(ancestry(ledger, run)):
        value, teacher = ((row.scores or {}).get(key) for key in (metric.key, taught_key))
        shown = "-" if value is None else f"{value:.2f} {metric.unit}".rstrip()
        change = "" if value is None or teacher is None else f"  {value - teacher:+.2f} beside its teacher"
        out.print(f"{number:>5}  {shown}{change}  (run {row.id})", markup=False)
