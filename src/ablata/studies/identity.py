"""What makes a run itself: recipe, code, data, seed and the machine it runs on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.base.errors import DataError, SettingsError, UserError
from ablata.base.home import lab_cache
from ablata.base.imported_files import files_digest, module_files
from ablata.base.parts import user_modules, users_mistakes
from ablata.base.settings import expand, files_named, placed, restore, settings_hash
from ablata.base.user_code import CodeFolder, references
from ablata.recipes.index import load_recipe, restore_recipe
from ablata.records.defaults import has_defaults, keep_defaults
from ablata.records.fingerprint import code_fingerprint, environment, environment_class
from ablata.records.ledger import Ledger
from ablata.records.processes import process_is_gone
from ablata.records.rows import NewRun, RunRow
from ablata.records.run_folder.code import run_code
from ablata.studies.programs import known_code
from ablata.trainers.any import Outside
from ablata.trainers.command import Command
from ablata.trainers.function import FILE_CODE, FUNCTION_CODE, Function
from ablata.trainers.identity import code_of, inputs_of
from ablata.trainers.process import refuse_missing_program

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_GIVE = "give their samples"
"""What is tried with a data set of the user's, for messages."""


def cache_folder(ledger: Ledger) -> Path:
    """Return the folder for prepared data: unpacked archives, decoded images."""
    return lab_cache(ledger.home)


def record_environment(ledger: Ledger, processes: int = 1) -> str:
    """Describe this machine in the ledger and return its environment class.

    Args:
        ledger: where it is recorded.
        processes: how many processes train one run together; their sums round differently.
    """
    description = environment() | {"processes": processes}
    name = environment_class(description)
    ledger.environments.record(name, description)
    return name


COMMAND_CODE = "command"
"""What the code of every command's run begins with: ablata's own code does not count for it."""


def codes() -> tuple[str, ...]:
    """Return what the codes of runs begin with that this process can train."""
    return (code_fingerprint(), COMMAND_CODE, FILE_CODE)


def recipe_code(recipe: Recipe | Outside) -> str:
    """Return the fingerprint of the code a recipe runs: ablata's, and that of the user's files it refers to.

    The files that a user's own part is given as a `Path` are of it too: only the part knows what they are. Of a command
    or a function it is that of its own files; see `ablata.trainers.identity` and `Function.code`.

    Raises:
        SettingsError: a part is defined where no other process finds it, or a declared source is missing.
    """
    if isinstance(recipe, Command):
        words = recipe.argument_list(seed=0, run_dir=Path("run"))
        return f"{COMMAND_CODE}-{code_of(recipe, words)}"
    if isinstance(recipe, Function):
        return recipe.code()
    read = [path for path, marked in files_named(recipe) if not marked and path.is_file()]
    digests = [files_digest(files) for files in (own_files(recipe), read) if files]
    return "-".join((code_fingerprint(), *digests))


def code_in(ledger: Ledger, recipe: Recipe | Outside) -> str:
    """Return the code that runs of a recipe have in a ledger; a program keeps it while only comments change."""
    code = recipe_code(recipe)
    return known_code(ledger, recipe, code) if isinstance(recipe, Command) else code


def own_files(recipe: Recipe | Outside) -> tuple[Path, ...]:
    """Return the user's files that a recipe or a function refers to; of a command git says which they are."""
    if isinstance(recipe, Outside):
        return recipe.files() if isinstance(recipe, Function) else ()
    return module_files(user_modules(recipe))


def restore_trainer(tree: dict[str, Any], source: str, code: CodeFolder | None = None) -> Recipe | Outside:
    """Rebuild what a run executes, a recipe, a command or a function, from its expanded settings.

    Args:
        tree, source, code: as for `restore_recipe`.

    Raises:
        SettingsError: the settings do not fit this version, or a user's file is gone.
    """
    if tree.get("task") == COMMAND_CODE:
        return restore(Command, tree, source=source)
    if tree.get("task") == FUNCTION_CODE:
        return restore(Function, tree, source=source, code=code)
    return restore_recipe(tree, source=source, code=code)


def restore_run(
    ledger: Ledger,
    run: RunRow,
    *,
    trust: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Recipe:
    """Rebuild the recipe of a run, from the copies of the user's files where those have moved or changed.

    Args:
        ledger: holds the run.
        run: the run.
        trust: whether code that came with an imported run may be run.
        say: called with a line about copies that are used, or code that is trusted.

    Raises:
        RecordError: the code came from elsewhere and is not trusted.
        SettingsError: the settings do not fit this version, or a user's file is gone.
    """
    tree = ledger.runs.settings(run)
    code = run_code(ledger, run, tree, trust=trust, say=say)
    recipe = restore_recipe(tree, source=f"run {run.id}", code=code)
    if code is not None and (line := code.notice()):
        say(line)
    return recipe.model_copy(update={"name": run.recipe_name})


def new_run(ledger: Ledger, recipe: Recipe | Outside, seed: int, environment: str, parent: str | None = None) -> NewRun:
    """Return the identity of a run of this code on this data; `parent` is the run it starts from.

    Raises:
        UserError: the seed is no whole number from 0 up, or the data is missing or damaged.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise SettingsError("A seed must be a whole number from 0 up", found=repr(seed), do="count seeds 0, 1, 2 ...")
    code = code_in(ledger, recipe)
    _keep_defaults(ledger, recipe, code)
    return NewRun(
        recipe_name=recipe.name,
        recipe=expand(placed(recipe)),
        recipe_hash=settings_hash(recipe),
        code=code,
        data=data_of(ledger, recipe),
        seed=int(seed),
        environment=environment,
        parent=parent,
    )


def _keep_defaults(ledger: Ledger, recipe: Recipe | Outside, code: str) -> None:
    """Keep what a named recipe is without overrides, so that lists can tell what was changed."""
    if isinstance(recipe, Outside) or has_defaults(ledger, recipe.name, code):
        return
    with suppress(UserError, OSError):
        keep_defaults(ledger, recipe.name, code, expand(load_recipe(recipe.name)))


def refuse_missing_programs(trainers: Iterable[Any]) -> None:
    """Refuse commands whose programs this machine does not have, before anything is run or recorded.

    Args:
        trainers: of a study's arms; a program below a git ref's files is looked for where it runs.

    Raises:
        SettingsError: names the program.
    """
    for command in trainers:
        if isinstance(command, Command):
            words = command.argument_list(seed=0, run_dir=Path("run"))
            if command.ref is None or "/" not in words[0]:
                refuse_missing_program(words, Path(command.folder))


def refuse_unfit(ledger: Ledger, recipe: Recipe | Outside, seed: int, *, alone: bool = True) -> None:
    """Refuse a training that would fail at its first step, before a run of it is recorded.

    Our own parts fit each other; what is left is a training set that does not fill a batch, names that a library or the
    network does not have (of networks, optimisers, parameters), and networks that do not take the images of a step.
    Parts of the user's own, and weights of another run, are tried on the first batches, unless they were trained
    before.

    Args:
        ledger: where it is to be recorded.
        recipe: what is trained.
        seed: of the run, or of a study's first one.
        alone: whether one process trains it; of several, each has only its share of a batch.

    Raises:
        SettingsError: a library has no network or optimiser of a name, or the network does not take the images.
        DataError: the training set does not fill a batch, or is missing or damaged.
        UserError: a part of the user's own fails, does not fit, or is a loss that teaches nothing.
    """
    if isinstance(recipe, Outside):
        return
    from ablata.engine.rehearsal import refuse_unfit_network, refuse_unknown_parameters, rehearse

    recipe.refuse_unknown_names()
    recipe.refuse_small_data(cache_folder(ledger))
    own = bool(references(expand(recipe)) or own_files(recipe))
    unsure = (own or recipe.start is not None) and recipe.parent() is None
    if alone and unsure and not _was_trained(ledger, recipe):
        rehearse(recipe, seed, cache_folder(ledger))
    elif not own:
        refuse_unknown_parameters(recipe)
        if alone:
            refuse_unfit_network(recipe, cache_folder(ledger))


def _was_trained(ledger: Ledger, recipe: Recipe) -> bool:
    """Tell whether some run of this recipe and code has begun, and not failed."""
    runs, code = ledger.runs.find(recipe=settings_hash(recipe)), recipe_code(recipe)
    return any(run.code == code and run.state in ("running", "completed", "diverged") for run in runs)


def data_of(ledger: Ledger, recipe: Recipe | Outside) -> str:
    """Return the fingerprint of what a run reads: its data, and the weights of the run that it starts from.

    Raises:
        UserError: the data, or that run, is missing or damaged.
    """
    if isinstance(recipe, Outside):
        return outside_data(recipe)
    if ledger.files.url is not None:
        ledger.files.bring_named(json.dumps(expand(recipe)))
    with users_mistakes(recipe, _GIVE):
        digest = recipe.data_fingerprint(cache_folder(ledger))
    return digest + (recipe.start.mark() if recipe.start is not None else "")


def data_again(recipe: Recipe, run: RunRow, cache: Path) -> str:
    """Return `data_of` a run that has been trained: the weights it began with are as recorded, wherever they are now.

    Raises:
        UserError: the data is missing or damaged.
    """
    mark = "-" + run.data.rpartition("-")[2] if recipe.start is not None and recipe.start.run is not None else ""
    with users_mistakes(recipe, _GIVE):
        return recipe.data_fingerprint(cache) + mark


def outside_data(recipe: Outside) -> str:
    """Return the fingerprint of what a command or function is said to read; `none` where it is said of nothing.

    Raises:
        DataError: a file is missing.
    """
    return inputs_of(recipe) if isinstance(recipe, Command) else recipe.data()


def refuse_other_data(ledger: Ledger, recipe: Recipe | Outside, run: RunRow) -> None:
    """Check that the data at hand is the data that a run was made for.

    Raises:
        DataError: it is not; both fingerprints are named.
    """
    here = data_of(ledger, recipe)
    if here != run.data:
        raise DataError(
            "A run must be trained on the data it was made for",
            found=f"run {run.id} is for data {run.data}, the data at hand is {here}",
            do="bring the data back, or train it anew: other data makes another run",
        )


def release_orphan(ledger: Ledger, run: RunRow) -> bool:
    """Give a run back whose worker was a process of this machine that is no more, before its lease lapses.

    Only for a ledger on this machine's disk.

    Returns:
        Whether it was given back.
    """
    if run.state != "running" or not ledger.database.is_sqlite or not process_is_gone(run.owner or ""):
        return False
    ledger.leases.release(run.id, run.attempt, f"its worker {run.owner} is gone")
    return True
