"""Training one recipe with one seed: from its settings to a run of the ledger, resumed where it was saved.

A recipe that starts from another run (a student from its teacher) is trained after that one, as a chain. Under torchrun
several processes train together: the first one claims the run and writes, the others follow it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch

from ablata.api.opening import LedgerAddress, open_ledger
from ablata.api.progress import TrainingProgress, progress_console
from ablata.api.runs import RunResult
from ablata.base.errors import AblataError, DivergedError, SettingsError, StoppedError
from ablata.base.overrides import Overrides, override, override_texts
from ablata.base.settings import expand, placed, settings_hash
from ablata.engine.batch_size import with_batch
from ablata.engine.checkpoints import LAST, load_run_checkpoint
from ablata.engine.hardware.precision import choose_device
from ablata.engine.hardware.process_group import ProcessGroup, from_environment, process_group
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporters
from ablata.engine.task import RunContext
from ablata.engine.train import train as train_recipe
from ablata.recipes.index import load_recipe
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.writer import RunWriter
from ablata.studies.chain import lineage
from ablata.studies.identity import (
    cache_folder,
    new_run,
    recipe_code,
    record_environment,
    refuse_other_data,
    refuse_unfit,
    release_orphan,
    restore_run,
)
from ablata.studies.workers.execution import execute
from ablata.studies.workers.worker import StopOnSignal


def train(
    recipe: str | Recipe | None = None,
    *,
    seed: int | None = None,
    overrides: Overrides = (),
    resume: str | None = None,
    progress: bool | TrainingProgress | None = None,
    check: bool = True,
    trust_code: bool = False,
    ledger: Ledger | None = None,
) -> RunResult:
    """Train a recipe with one seed, and return the run.

    A run equal in recipe, code, data, seed and machine is not trained again: the one that exists is returned, and one
    that was interrupted goes on where it was saved.

        run = ablata.train("digits", seed=3, overrides={"model.width": 32})

    Args:
        recipe: a name that `ablata recipes list` shows, `path/to/file.py:function`, or a Recipe.
        seed: drives initialisation, data order and augmentation, >= 0; None: 0, or that of the run to resume.
        overrides: settings to change: `{"model.width": 32}`, or `["model.width=32"]`. A part is a name (`"ohem"`), a
            settings object (`Ohem(threshold=0.7)`), or a class or function of the user's own.
        resume: a run's id, in place of a recipe: go on with that run.
        progress: True: shown; False: not; None: shown where standard error is a terminal. Or an own display.
        check: raise if the training diverges; False: return the run, whose state is `diverged`.
        trust_code: run code that came with an imported run, or with a teacher's checkpoint from elsewhere.
        ledger: where the run is recorded; None: the lab's own.

    Raises:
        UserError: the recipe, an override or the data is wrong; raised before the first step.
        DivergedError: the training diverged, and `check` is True.
        StoppedError: it was interrupted; what was done is saved.
    """
    if (recipe is None) == (resume is None):
        raise SettingsError("Give a recipe to train, or a run to go on with", found="both" if recipe else "neither",
                            do="ablata train RECIPE [key=value ...], or ablata train --resume RUN")  # fmt: skip
    if resume is not None and seed is not None:
        raise SettingsError("A run keeps its seed", found=f"seed {seed} with resume {resume}", do="leave the seed out")
    group = from_environment()
    if not group.is_main or isinstance(progress, bool | None):
        shown = TrainingProgress(progress_console(progress if group.is_main else False))  # type: ignore[arg-type]
    else:
        shown = progress
    with open_ledger(ledger) as opened, _as_before():
        row = _Training(opened, group, shown, trust_code).run(recipe, overrides, seed or 0, resume)
        if check and row.state == "diverged":
            raise DivergedError(
                "The training must not diverge",
                found=f"run {row.id}: {row.error}",
                do=f'look at it: ablata.run("{row.id}"), or ablata runs show {row.id}',
            )
        return RunResult(row, LedgerAddress.of(opened))


@contextmanager
def _as_before() -> Iterator[None]:
    """Leave torch's number of threads and its generator as they were: the caller may be in the middle of something."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)


class _Training:
    """One call of `train` on this process."""

    def __init__(self, ledger: Ledger, group: ProcessGroup, progress: TrainingProgress, trust_code: bool) -> None:
        self._ledger, self._group, self._progress, self._trust = ledger, group, progress, trust_code

    def run(
        self,
        recipe: str | Recipe | None,
        overrides: Overrides,
        seed: int,
        resume: str | None,
    ) -> RunRow:
        """Train the recipe, after all that it starts from, and return its run."""
        made = self._with_batch(self._recipe(recipe, override_texts(overrides), resume))
        if resume is not None:
            seed = self._ledger.runs.get(resume).seed
        with process_group(self._group, choose_device(made.compute.device, self._group.local_rank)):
            parent: str | None = None
            for round_ in lineage(made):
                row = self._one(round_, seed, resume if round_ is made else None, parent, is_last=round_ is made)
                if row.state == "diverged":
                    break
                parent = row.id
        return row

    def _recipe(self, recipe: str | Recipe | None, overrides: Sequence[str], resume: str | None) -> Recipe:
        if isinstance(recipe, Recipe):
            return override(recipe, overrides)
        if recipe is not None:
            return load_recipe(recipe, overrides)
        run = self._ledger.runs.get(str(resume))
        made = restore_run(self._ledger, run, trust=self._trust, say=self._progress.say)
        changed = override(made, overrides)
        if settings_hash(changed) != run.recipe_hash:
            raise SettingsError(
                "A run goes on with the settings it began with; only where things are and how fast may change",
                found=" ".join(overrides) or f"run {run.id} was recorded by another version of its recipe",
                do=f"train another run: ablata train {run.recipe_name} KEY=VALUE",
            )
        return changed

    def _with_batch(self, recipe: Recipe) -> Recipe:
        """Return a recipe whose batch is a number, and say how that of `train.batch=auto` came about."""
        if recipe.train.batch == "auto":
            self._progress.say("train.batch=auto: steps of growing batches are measured")
        threads = recipe.compute.threads or torch.get_num_threads()
        torch.set_num_threads(threads)
        context = RunContext(choose_device(recipe.compute.device), cache_folder(self._ledger), self._group)
        made, found = with_batch(recipe, context)
        if found is not None:
            self._progress.say(f"train.batch={found}")
        return made

    def _one(self, recipe: Recipe, seed: int, resume: str | None, parent: str | None, *, is_last: bool) -> RunRow:
        """Train one run of the chain together with the other processes, unless an equal one has ended."""
        writer, ended = self._agree(recipe, seed, resume, parent)
        if ended is not None:
            if self._group.is_main:
                self._progress.ended(ended, None, is_last)
            return ended
        if writer is None:
            cache = cache_folder(self._ledger)
            train_recipe(recipe, seed, self._ledger.home, cache, None, self._group, trust_code=self._trust)
            return self._ledger.runs.get(self._group.broadcast_object(None))
        row = self._lead(writer, recipe, is_last=is_last)
        if row.state == "completed":
            self._group.broadcast_object(row.id)
        return row

    def _agree(
        self, recipe: Recipe, seed: int, resume: str | None, parent: str | None
    ) -> tuple[RunWriter | None, RunRow | None]:
        """Let the first process claim the run and tell the others; all of them end if it cannot.

        Returns:
            On the first process the claim; on all of them the equal run that has ended already, if there is one.
        """
        writer: RunWriter | None = None
        ended: RunRow | None = None
        failure: AblataError | None = None
        if self._group.is_main:
            try:
                self._ledger.files.ready(self._ledger.runs.find(), self._progress.say)
                run = self._enqueued(recipe, seed, resume, parent)
                if run.state in ("completed", "diverged"):
                    ended = run
                else:
                    release_orphan(self._ledger, run)
                    writer = RunWriter.resume(self._ledger, run.id)
            except AblataError as error:
                failure = error
        word = self._group.broadcast_object("failed" if failure else f"ended {ended.id}" if ended else "go")
        if failure is not None:
            raise failure
        if word == "failed":
            raise SettingsError(
                "The first process must be able to claim the run",
                found="it could not; see its message",
                do="mend what the first process says, and start all of them again",
            )
        if word != "go" and ended is None:
            ended = self._ledger.runs.get(word.partition(" ")[2])
        return writer, ended

    def _enqueued(self, recipe: Recipe, seed: int, resume: str | None, parent: str | None) -> RunRow:
        here = record_environment(self._ledger, self._group.world_size)
        if resume is None:
            new = new_run(self._ledger, recipe, seed, here, parent)
            refuse_unfit(self._ledger, recipe, seed, alone=self._group.is_single)
            return self._ledger.runs.enqueue(new)
        run = self._ledger.runs.get(resume)
        folder = self._ledger.files.bring(run, weights=True)
        if run.state == "completed" and (folder / LAST).exists():
            load_run_checkpoint(folder, "last")  # its scores are not repeated beside a damaged file
        if run.state not in ("completed", "diverged"):
            refuse_other_data(self._ledger, recipe, run)
            for what, then, now in (("code", run.code, recipe_code(recipe)), ("machine", run.environment, here)):
                if then != now:
                    self._progress.say(
                        f"warning: run {run.id} began with other {what} ({then}, here {now}); it keeps that label"
                    )
        return run

    def _lead(self, writer: RunWriter, recipe: Recipe, *, is_last: bool) -> RunRow:
        """Train on the process that holds the claim, and return how the run ended."""
        run, progress = writer.run, self._progress
        progress.claimed(writer.claim)
        notice = None if progress.console.quiet else "stopping after this step; interrupt again to end at once"
        stop = StopOnSignal(notice=notice)
        # Python hears signals on its main thread alone.
        is_main_thread = threading.current_thread() is threading.main_thread()
        listening = stop.listening() if is_main_thread else nullcontext()
        try:
            with listening, writer, progress:
                writer.place(expand(placed(recipe)))
                cache, listener = cache_folder(self._ledger), Reporters(progress, stop)
                outcome = execute(writer, recipe, cache, listener, self._group, trust_code=self._trust)
        except StoppedError as error:
            if is_main_thread and not self._group.is_single:
                # torchrun ends the processes that are left; this one ends by itself, once it has said why.
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            raise StoppedError(
                error.must, found=f"run {run.id}, saved", do=f"go on with: ablata train --resume {run.id}"
            ) from None
        except Exception:
            # The same command would begin a new run: one that has failed is put back only by name.
            if (writer.folder / LAST).exists() and self._ledger.runs.get(run.id).state == "failed":
                progress.say(f"run {run.id} has a checkpoint to go on from: ablata train --resume {run.id}")
            raise
        row = self._ledger.runs.get(run.id)
        progress.ended(row, outcome, is_last)
        return row
