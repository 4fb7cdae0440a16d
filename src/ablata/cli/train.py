"""`ablata train`: one recipe, one seed, with progress; interrupted or killed, it goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablata.base.errors import AblataError, SettingsError, StoppedError
from ablata.cli.console import duration, err, figure, note, out, print_json
from ablata.cli.progress import TrainingProgress

if TYPE_CHECKING:
    from ablata.engine.hardware.process_group import ProcessGroup
    from ablata.engine.recipe import Recipe
    from ablata.records.ledger import Ledger
    from ablata.records.rows import RunRow
    from ablata.records.writer import RunWriter


def train(
    recipe: Annotated[str | None, typer.Argument(help="A name, or path/to/file.py:function.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Drives initialisation, data order and augmentation; 0 by default.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with this run.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a recipe. Under torchrun, several processes train it together with the same global batch."""
    if resume is not None and recipe is not None and "=" in recipe:
        overrides = [recipe, *(overrides or [])]
        recipe = None
    if (recipe is None) == (resume is None):
        raise SettingsError("Give a recipe to train, or a run to go on with", found="both" if recipe else "neither",
                            do="ablata train RECIPE [key=value ...], or ablata train --resume RUN")  # fmt: skip
    if resume is not None and seed is not None:
        raise SettingsError(
            "A run keeps its seed", found=f"--seed {seed} with --resume {resume}", do="leave --seed out"
        )
    if recipe is not None:
        _check_form(recipe, overrides or [])
    from ablata.engine.hardware.precision import choose_device
    from ablata.engine.hardware.process_group import from_environment, process_group
    from ablata.records.ledger import Ledger
    from ablata.studies.chain import lineage
    from ablata.studies.identity import cache_folder

    place = from_environment()
    if not place.is_main:
        err.quiet = out.quiet = True
    seed = seed or 0
    with Ledger() as ledger:
        made = _recipe(ledger, recipe, overrides or [], resume)
        device = choose_device(made.compute.device, place.local_rank)
        with process_group(place, device):
            seed = ledger.runs.get(resume).seed if resume is not None else seed
            chain, parent = lineage(made), None
            for one in chain:
                last = one is made
                word, writer, ended = _agree(ledger, one, seed, resume if last else None, place, parent)
                if ended is not None:
                    _report_ended(ledger, ended, json and last, quiet=json and not last)
                    parent = ended.id
                elif writer is None and word == "go":
                    _follow(one, seed, ledger, place)
                elif writer is not None:
                    _lead(ledger, writer, one, place, cache_folder(ledger), json, last=last)
                    parent = writer.run.id
            if len(chain) > 1 and parent is not None and not json:
                _report_chain(ledger, parent, made)


def _check_form(recipe: str, overrides: list[str]) -> None:
    """Refuse what needs no torch to be refused: an unknown name, an argument that is no key=value."""
    from ablata.base.overrides import parse
    from ablata.recipes.index import check_reference

    check_reference(recipe)
    for argument in overrides:
        parse(argument)


def _recipe(ledger: Ledger, recipe: str | None, overrides: list[str], resume: str | None) -> Recipe:
    from ablata.base.overrides import override
    from ablata.base.settings import settings_hash
    from ablata.recipes.index import load_recipe, restore_recipe

    if recipe is not None:
        return load_recipe(recipe, overrides)
    run = ledger.runs.get(str(resume))
    made = restore_recipe(ledger.runs.recipe(run.recipe_hash), source=f"run {run.id}")
    changed = override(made.model_copy(update={"name": run.recipe_name}), overrides)
    if settings_hash(changed) != run.recipe_hash:
        raise SettingsError(
            "A run goes on with the settings it began with; only where things are and how fast may change",
            found=" ".join(overrides) or f"run {run.id} was recorded by another version of its recipe",
            do=f"train another run: ablata train {run.recipe_name} KEY=VALUE",
        )
    return changed


def _agree(
    ledger: Ledger, recipe: Recipe, seed: int, resume: str | None, place: ProcessGroup, parent: str | None
) -> tuple[str, RunWriter | None, RunRow | None]:
    """Let the writing process claim the run and tell the others; all of them end if it cannot.

    Returns:
        `go`, `ended` or `diverged`, and on the writing process the claim, or the equal run that has ended already.
    """
    from ablata.records.writer import RunWriter
    from ablata.studies.identity import new_run, record_environment, release_orphan

    writer: RunWriter | None = None
    ended: RunRow | None = None
    failure: AblataError | None = None
    if place.is_main:
        try:
            here = record_environment(ledger, place.world_size)
            if resume is not None:
                run = ledger.runs.get(resume)
                _refuse_other_identity(ledger, run, recipe, here)
            else:
                run = ledger.runs.enqueue(new_run(ledger, recipe, seed, here, parent))
            if run.state in ("completed", "diverged"):
                ended = run
            else:
                release_orphan(ledger, run)
                writer = RunWriter.resume(ledger, run.id)
        except AblataError as error:
            failure = error
    state = "diverged" if ended is not None and ended.state == "diverged" else "ended"
    word = place.broadcast_object("failed" if failure else state if ended else "go")
    if failure is not None:
        raise failure
    if word in ("failed", "diverged") and not place.is_main:
        raise typer.Exit(2 if word == "failed" else 1)
    return word, writer, ended


def _refuse_other_identity(ledger: Ledger, run: RunRow, recipe: Recipe, environment: str) -> None:
    """Refuse to go on with a run under an identity that is not its own: other data; say if code or machine differ."""
    from ablata.studies.identity import recipe_code, refuse_other_data

    if run.state in ("completed", "diverged"):
        return
    refuse_other_data(ledger, recipe, run)
    for what, then, now in (("code", run.code, recipe_code(recipe)), ("machine", run.environment, environment)):
        if then != now:
            note(f"warning: run {run.id} began with other {what} ({then}, here {now}); it keeps that label")


def _follow(recipe: Recipe, seed: int, ledger: Ledger, place: ProcessGroup) -> None:
    """Train along on a process that writes nothing."""
    from ablata.engine.train import train as train_run
    from ablata.studies.identity import cache_folder

    try:
        train_run(recipe, seed, ledger.home, cache_folder(ledger), None, place)
    except AblataError as error:
        raise typer.Exit(error.exit_code) from None


def _lead(
    ledger: Ledger,
    writer: RunWriter,
    recipe: Recipe,
    place: ProcessGroup,
    cache: Any,
    json: bool,
    *,
    last: bool = True,
) -> None:
    from ablata.engine.reporting import Reporters
    from ablata.studies.execution import execute
    from ablata.studies.worker import StopOnSignal

    run = writer.run
    note(f"run {run.id}: {run.recipe_name}, seed {run.seed}, recipe {run.recipe_hash}")
    if writer.claim.resumed:
        note(f"attempt {run.attempt}: goes on where the last one was saved")
    stop = StopOnSignal(notice="stopping after this step; interrupt again to end at once")
    try:
        with writer, stop.listening(), TrainingProgress() as progress:
            outcome = execute(writer, recipe, cache, Reporters(progress, stop), place)
    except StoppedError as error:
        note(f"{error.must}\ngo on with: ablata train --resume {run.id}")
        raise typer.Exit(1) from None
    ended = ledger.runs.get(run.id)
    if outcome is not None and outcome.best is not None and not json:
        note(f"best checkpoint: {outcome.best['why']}")
    _report_ended(ledger, ended, json and last, fresh=True, quiet=json and not last)


def _report_chain(ledger: Ledger, run: str, recipe: Recipe) -> None:
    """Print each round of a chain beside the one before, by the recipe's own metric."""
    from ablata.studies.chain import ancestry

    metric = recipe.metric()
    taught_key = replace(metric, name=f"teacher_{metric.name}").key
    out.print(f"\nround  {metric.key}", markup=False)
    for number, one in enumerate(ancestry(ledger, ledger.runs.get(run))):
        value, teacher = ((one.scores or {}).get(key) for key in (metric.key, taught_key))
        shown = "-" if value is None else f"{value:.2f} {metric.unit}".rstrip()
        change = "" if value is None or teacher is None else f"  {value - teacher:+.2f} beside its teacher"
        out.print(f"{number:>5}  {shown}{change}  (run {one.id})", markup=False)


def _report_ended(ledger: Ledger, run: RunRow, json: bool, fresh: bool = False, quiet: bool = False) -> None:
    """Print what a run came to; nothing if `quiet`.

    Raises:
        typer.Exit: with 1 if it diverged.
    """
    if quiet:
        if run.state == "diverged":
            raise typer.Exit(1)
        return
    if json:
        print_json({"run": run.id, "state": run.state, "recipe": run.recipe_name, "seed": run.seed,
                    "scores": run.scores, "cost": run.cost, "error": run.error, "folder": run.folder})  # fmt: skip
    else:
        if not fresh:
            note(f"run {run.id} (this recipe, code, data, seed and machine) has ended already:")
        if run.error:
            out.print(f"{run.state}: {run.error}", markup=False)
        for name, value in (run.scores or {}).items():
            out.print(f"{name} = {value:.6g}", markup=False)
        cost = run.cost or {}
        if "images_per_second" in cost:
            # The first steps are not timed: a run of three has no rate.
            rate = f"{figure(cost['images_per_second'])} images/s, " if cost["images_per_second"] else ""
            note(f"{duration(cost['seconds'])}, {rate}peak memory {figure(cost['peak_memory_bytes'], 'B')}")
        note(f"folder: {ledger.runs.folder(run)}")
    if run.state == "diverged":
        raise typer.Exit(1)
