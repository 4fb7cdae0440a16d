"""Run a study: enqueue whole seed rows, keep workers at it, look after each row, stop arms that are decided."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.base.errors import AblataError, LeaseLostError, RecordError, RunError, choices, listing
from ablata.base.imported_files import relative_names
from ablata.records.database import PATIENCE_SECONDS, persist
from ablata.records.ledger import Ledger
from ablata.records.questions.account import BEFORE, EXPLORATORY, SEEN
from ablata.records.questions.judged import judged_values, recorded_names
from ablata.records.rows import ArmRow, Cell, NewArm, NewRun, RunRow
from ablata.records.run_folder.code import arm_code, keep_code
from ablata.stats import rule_of
from ablata.stats.waves import ADDED, WAVES
from ablata.studies.assess import ENDED, Assessment, assess, needed_next, open_arms
from ablata.studies.beginning import refuse_other_networks
from ablata.studies.chain import lineage
from ablata.studies.changed import refuse_changed_programs
from ablata.studies.cluster.pool import JobPool
from ablata.studies.evidence import PRIOR_KEYS, prior_of
from ablata.studies.forks import FORK, beginnings_of, common_beginnings
from ablata.studies.guards import GUARDS
from ablata.studies.identity import (
    COMMAND_CODE,
    cache_folder,
    new_run,
    own_files,
    record_environment,
    refuse_missing_programs,
    refuse_unfit,
    release_orphan,
    restore_trainer,
)
from ablata.studies.metric import refuse_mixed_units, refuse_unknown_class
from ablata.studies.picking import PICK, PickValues, next_arms
from ablata.studies.planning.known_before import known_before
from ablata.studies.stopping import StopRequests
from ablata.studies.study import CONTROL, Study, in_arm
from ablata.studies.workers.commands import OUTPUT, WORKTREES
from ablata.studies.workers.in_process import InProcess
from ablata.studies.workers.pool import Pool, Workers
from ablata.studies.workers.together import Together
from ablata.trainers.any import Outside
from ablata.trainers.function import FUNCTION_CODE
from ablata.trainers.git import remove_worktree

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_POLL_SECONDS = 0.25
_REST = 20.0
"""Rest after a look at the ledger, in times of the processor time it took: the trainings need the processor."""
_LONGEST_REST_SECONDS = 2.0
_MOST_FAILURES = 3
_MOST_LOST = 10


class StudyRunner:
    """Runs a study: queues seed rows, starts workers, judges after every row, stops what is settled.

    Args:
        ledger: where it is recorded.
        name: a study that `create` has put there.
        workers: local processes.
        watch: called about four times a second, for a live table.
        say: called with a line about what goes on.
        trust_code: whether code that came with an imported study may be run.
        here: calls the study's functions in this process, in place of workers.
        jobs: keeps workers on a cluster, in place of local ones.
        together: how many runs a local worker trains together; so many rows wait at a time.

    Raises:
        RecordError: there is no such study, or it needs such code and that is not trusted.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        workers: Workers,
        watch: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
        *,
        trust_code: bool = False,
        here: InProcess | None = None,
        jobs: JobPool | None = None,
        together: Together | None = None,
    ) -> None:
        self.ledger, self.name, self.watch, self.say = ledger, name, watch, say
        self.environment = record_environment(ledger)
        self.study = ledger.studies.get(name)
        self.columns: list[ArmRow] = sorted(ledger.studies.arms(name), key=lambda arm: not arm.is_control)
        self.rule = rule_of(self.study.spec)
        self.assessment = Assessment(0, (), None)
        self._here = here
        self._pool = here or jobs or Pool(ledger, name, workers, trust_code=trust_code, together=together)
        self._rows_at_once = 1 if together is None else together.most
        self._code = {arm.name: arm_code(ledger, name, arm, trust=trust_code, say=say) for arm in self.columns}
        self._identities: dict[str, list[NewRun]] = {}
        self._files: dict[str, dict[Path, str]] = {}
        self._failures: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._ended, self._beside = -1, max(workers.count, 1)
        self._stops = StopRequests(ledger, name)
        self._failed_before: set[str] = set()
        self._nothing_to_pick = False

    def run(self) -> Assessment:
        """Train until every arm is decided or all seeds are used.

        Raises:
            RunError: a run failed again and again, or workers cannot start; the study can be continued once the reason
                is gone.
            KeyboardInterrupt: passed on after the workers have saved what they had.
        """
        if isinstance(self._pool, Pool):
            commands = [arm for arm in self.columns if arm.recipe.get("task") == COMMAND_CODE]
            refuse_missing_programs(restore_trainer(arm.recipe, source=f"arm {arm.name}") for arm in commands)
        refuse_changed_programs(self.ledger, self.name)
        try:
            with self._pool:
                for cell in (*self.ledger.studies.cells(self.name), *self._parents()):
                    self._give_back(cell, orphan=True)
                    self._place(cell.run)
                    self._failed_before |= {cell.run.id} if cell.run.state == "diverged" else set()
                began = time.process_time()
                while not persist(self._advance, patience=PATIENCE_SECONDS):
                    persist(self.watch, patience=PATIENCE_SECONDS)
                    self._rest(time.process_time() - began)
                    began = time.process_time()
                persist(lambda: self.ledger.studies.finish(self.name), patience=PATIENCE_SECONDS)
                persist(self.watch, patience=PATIENCE_SECONDS)
            # What its workers have saved since waits again.
            persist(lambda: self.ledger.studies.finish(self.name), patience=PATIENCE_SECONDS)
        except KeyboardInterrupt:
            self.say("interrupted; what was trained is saved")
            raise
        finally:
            self._remove_worktrees()
        return self.assessment

    def _remove_worktrees(self) -> None:
        """Remove the git worktrees that arms of refs ran in; no program is at work in them any more."""
        for arm in self.columns:
            if arm.recipe.get("task") == COMMAND_CODE and (ref := arm.recipe.get("ref")):
                with suppress(AblataError):
                    remove_worktree(Path(arm.recipe["folder"]), ref, self.ledger.home / WORKTREES)

    def _rest(self, spent: float) -> None:
        """Leave the processor to the trainings, until a run or a worker ends or the rest is over.

        Args:
            spent: processor time of the last look, in seconds; what it waited for (a database, a suspended machine)
                does not count.
        """
        end = time.monotonic() + min(max(_POLL_SECONDS, _REST * spent), _LONGEST_REST_SECONDS)
        while (left := end - time.monotonic()) > 0 and not self._pool.lost_one():
            time.sleep(min(_POLL_SECONDS, left))
            if persist(lambda: self.ledger.studies.ended_count(self.name), patience=PATIENCE_SECONDS) != self._ended:
                return

    def _advance(self) -> bool:
        """Do what is to be done now; return whether the study is finished. Harmless if done twice.

        Raises:
            KeyboardInterrupt: somebody asked that it stops.
        """
        if self._stops.came():
            raise KeyboardInterrupt
        if self.ledger.studies.get(self.name).state == "finished":
            self.say("cancelled: what has ended is judged, and nothing more is trained")
            return True
        complete = False
        while not complete:
            cells = self.ledger.studies.cells(self.name)
            if self._refuse_failed_control(cells):
                continue
            ended = sum(cell.run.state in ENDED for cell in cells)
            if ended != self._ended:
                self._refuse_unrecorded(cells)
                if self.columns[0].recipe.get("task") in (COMMAND_CODE, FUNCTION_CODE):
                    refuse_mixed_units(self.ledger, self.study.spec["metric"], self.columns, cells)
                self._look()
                self._ended = ended
            done = self.assessment.rows >= self.rule.seeds or self.assessment.settled
            if done or not open_arms(self.columns, self.assessment.replay):
                return True
            # A cell filled with a run that ended in another study may complete a row.
            complete = not self._enqueue({(cell.arm, cell.seed): cell for cell in cells})
        if self._nothing_to_pick:
            return True
        self._revive(parents := self._parents())
        self._replace_dead([*self.ledger.studies.cells(self.name), *parents])
        return False

    def _refuse_failed_control(self, cells: list[Cell]) -> bool:
        """End a study of commands or functions whose control fails: nothing can be compared with it.

        Returns:
            Whether a run that failed in an earlier launch was put back.

        Raises:
            RunError: with what it said.
        """
        control, key = self.columns[0], self.study.spec["metric"]["key"]
        task, reopened = control.recipe.get("task"), False
        for run in (cell.run for cell in cells if cell.arm == control.name and task in (COMMAND_CODE, FUNCTION_CODE)):
            if run.id in self._failed_before and self._is_control_everywhere(run):
                self.say(f"{control.name}, seed {run.seed}: failed before ({run.error}); it is run again")
                self._failed_before.discard(run.id)
                self.ledger.runs.reopen(run.id)
                reopened = True
            elif run.state == "diverged":
                raise RunError(
                    "The control must run to its end",
                    found=f"run {run.id}, seed {run.seed}: {run.error}",
                    do=f"mend the {task}; all it printed is in {self.ledger.runs.folder(run) / OUTPUT}",
                )
            missing = key not in (run.scores or {}) and not judged_values(self.ledger, key, [run])
            if run.state == "completed" and missing:
                raise RunError(
                    f"The control must return the score {key}",
                    found=f"run {run.id} returned {listing(run.scores or ())}",
                    do=f'score="{next(iter(run.scores or ()), "acc")}"; the runs that are recorded are used again',
                )
        return reopened

    def _refuse_unrecorded(self, cells: list[Cell]) -> None:
        """End a study whose metric, or a quantity that it guards, its runs do not record.

        Raises:
            RunError: names what they do record.
        """
        completed = [cell.run for cell in cells if cell.run.state == "completed"]
        wanted = [("--metric NAME", self.study.spec["metric"]["key"])]
        wanted += [("--guard NAME:+3%", guard["key"]) for guard in self.study.spec.get(GUARDS, ())]
        for option, key in wanted:
            if completed and not judged_values(self.ledger, key, completed):
                names = recorded_names(self.ledger, completed[0])
                raise RunError(
                    "The metric of a study, and what it guards, must be something that its runs record",
                    found=f"no {key} of run {completed[0].id}; it has {choices(names, key)}",
                    do=f"ask again under another name with one of these: {option}",
                )

    def _is_control_everywhere(self, run: RunRow) -> bool:
        """Tell whether no study counts a failed run: as a control it ended those that met it."""
        for study in self.ledger.runs.studies_of(run.id):
            arms = {cell.arm for cell in self.ledger.studies.cells(study) if cell.run.id == run.id}
            if arms & {arm.name for arm in self.ledger.studies.arms(study) if not arm.is_control}:
                return False
        return True

    def _look(self) -> None:
        """Judge what is there; record a look when a row was added, and stop the arms it closes."""
        assessment = assess(self.ledger, self.name)
        if assessment.rows > self.assessment.rows:
            self.ledger.studies.add_look(self.name, assessment.rows, assessment.as_look())
            stopped = {arm.name for arm in self.ledger.studies.arms(self.name) if arm.state == "stopped"}
            for name, outcome in assessment.outcomes().items():
                if not outcome.open and name not in stopped:
                    self.ledger.studies.stop_arm(self.name, name, outcome.verdict.value, outcome.reason)
        self.assessment = assessment

    def _enqueue(self, cells: dict[tuple[str, int], Cell]) -> bool:
        """Make sure the next row waits; before the first look, all rows up to it, since none of them can be spared.

        Where runs are trained together, as many rows wait as go into a group.

        Returns:
            Whether a cell was filled with a run that has ended already.
        """
        if self.study.spec.get(PICK):
            return self._enqueue_picked(cells)
        rows, ended = self.assessment.rows, False
        block = self._rows_at_once
        wanted = max(self.rule.first_look if rows < self.rule.first_look else 0, (rows // block + 1) * block)
        for row in range(rows, max(rows + 1, min(wanted, self.rule.seeds))):
            seed = self.study.spec["first_seed"] + row
            for arm in open_arms(self.columns, self.assessment.replay):
                cell = cells.get((arm.name, seed))
                if cell is None or cell.run.state in ("waiting", "failed", "cancelled"):
                    ended |= self._fill(arm, seed, cell)
        return ended or self._look_ahead(cells)

    def _look_ahead(self, cells: dict[tuple[str, int], Cell]) -> bool:
        """Where workers would wait for the row to end, queue what the next rows need most surely; see `_enqueue`.

        Runs behind the row that settles an arm do not count, so that verdicts are the same.
        """
        idle = self._beside - sum(cell.run.state in ("waiting", "running") for cell in cells.values())
        seeds = range(
            self.study.spec["first_seed"] + self.assessment.rows, self.study.spec["first_seed"] + self.rule.seeds
        )
        places = ((arm, seed) for seed in seeds for arm in needed_next(self.columns, self.assessment))
        missing = ((arm, seed) for arm, seed in places if (arm.name, seed) not in cells)
        return any(self._fill(arm, seed, None) for arm, seed in islice(missing, max(0, idle)))

    def _enqueue_picked(self, cells: dict[tuple[str, int], Cell]) -> bool:
        """Queue the runs that a study that picks wants next; see `_enqueue`."""
        runs = {place: cell.run for place, cell in cells.items()}
        values = PickValues.of(self.ledger, self.study.spec, list(runs.values()))
        wanted = next_arms(self.columns, runs, values, self.study.spec, self.rule.seeds, self._beside)
        # With one setting left that could be taken there is nothing to choose, whatever the budget.
        self._nothing_to_pick = not wanted and all(run.state in ENDED for run in runs.values())
        ended = [self._fill(arm, seed, cells.get((arm.name, seed))) for arm, seed in wanted]
        return any(ended)

    def _fill(self, arm: ArmRow, seed: int, cell: Cell | None) -> bool:
        """See to it that a run waits in a cell that has none, one that failed, or one meant for other code or machine.

        Returns:
            Whether the run that now fills it has ended already.

        Raises:
            RunError: its run failed again and again.
        """
        wanted = replace(self._identity(arm), seed=seed)
        same = cell is not None and (cell.run.code, cell.run.environment) == (wanted.code, wanted.environment)
        if cell is not None and cell.run.state == "failed" and same:
            self._count_failure(cell)
        if cell is not None and same:
            # Another study may have made an equal run since this one failed; then that one fills the cell.
            with suppress(RecordError):
                if cell.run.state != "waiting":
                    self.ledger.runs.requeue(cell.run.id)
                return False
        parent = None
        for older in () if self._is_shared_fork(wanted) else self._lineage(arm)[:-1]:
            parent = self.ledger.runs.enqueue(replace(older, seed=seed, parent=parent)).id
        run = self.ledger.studies.enqueue(self.name, arm.name, replace(wanted, parent=parent))
        if run.state == "waiting" and (files := self._files.pop(wanted.code, None)):
            # The first run of each code holds the users' files, in case they are gone before it begins.
            keep_code(self.ledger.runs.folder(run), files)
            self.ledger.files.keep(run, patience=PATIENCE_SECONDS)
        if cell is not None and not same:
            self.ledger.runs.cancel(cell.run.id)
        if run.state == "diverged":
            self._failed_before.add(run.id)
        return run.state in ENDED

    def _is_shared_fork(self, wanted: NewRun) -> bool:
        """Tell whether a run that would be a fork has been trained already, so that it needs no beginning."""
        if FORK not in self.study.spec:
            return False
        ended = self.ledger.runs.find(recipe=wanted.recipe_hash, seed=wanted.seed, state=("completed", "diverged"))
        return any(run.identity == wanted.identity for run in ended)

    def _identity(self, arm: ArmRow) -> NewRun:
        """Return what an arm's runs are apart from their seeds and parents."""
        return self._lineage(arm)[-1]

    def _lineage(self, arm: ArmRow) -> list[NewRun]:
        """Return what an arm's runs and those they start from are; the data is read once for each launch."""
        if arm.name not in self._identities:
            code = self._code[arm.name]
            recipe = (
                restore_trainer(arm.recipe, source=f"arm {arm.name} of study {self.name}", code=code)
                if self._here is None
                else self._here.functions[arm.name]
            )
            if code is not None and (line := code.notice()):
                self.say(f"{arm.name}: {line}; another name asks with the files as they are")
            recipe = recipe.model_copy(update={"name": arm.recipe_name})
            older = [one.model_copy(update={"name": arm.recipe_name}) for one in self._beginnings(arm)]
            runs = self._identities[arm.name] = [
                new_run(self.ledger, one, 0, self.environment) for one in (*older, *lineage(recipe))
            ]
            self._files[runs[-1].code] = relative_names(own_files(recipe))
        return self._identities[arm.name]

    def _beginnings(self, arm: ArmRow) -> Sequence[Recipe]:
        """Return what an arm's runs go on from, where it shares its first steps with the control."""
        if FORK not in self.study.spec:
            return ()
        first = self.columns[0]
        source, code = f"arm {first.name} of study {self.name}", self._code[first.name]
        control = restore_trainer(first.recipe, source=source, code=code)
        return () if isinstance(control, Outside) else beginnings_of(self.study.spec, arm.name, control)

    def _place(self, run: RunRow) -> None:
        """Let a run that is to be trained find its data where the arms have them now."""
        if run.state not in ENDED:
            for new in (one for arm in self.columns if arm.state == "open" for one in self._lineage(arm)):
                if new.recipe_hash == run.recipe_hash:
                    self.ledger.runs.place(run.id, new.recipe)

    def _parents(self) -> list[Cell]:
        """Return the runs that cells start from and that fill none themselves, as cells of no arm."""
        return [Cell("a run that others start from", run.seed, run) for run in self.ledger.studies.parents(self.name)]

    def _revive(self, parents: list[Cell]) -> None:
        """Put back the parents that failed or were cancelled: cells that need them would wait for ever.

        Raises:
            RunError: one failed again and again.
        """
        for cell in parents:
            if cell.run.state == "failed":
                self._count_failure(cell)
            if cell.run.state in ("failed", "cancelled"):
                with suppress(RecordError):
                    self.ledger.runs.requeue(cell.run.id)

    def _count_failure(self, cell: Cell) -> None:
        run = cell.run
        self._failures[run.id] += 1
        self.say(f"{cell.arm}, seed {cell.seed}: failed: {run.error}")
        if self._failures[run.id] >= _MOST_FAILURES:
            raise RunError(
                "Every run of a study must end",
                found=f"run {run.id} ({cell.arm}, seed {cell.seed}) failed {self._failures[run.id]} times: {run.error}",
                do=f"mend the reason, then go on with: ablata study run {self.name}",
            )

    def _replace_dead(self, cells: list[Cell]) -> None:
        """Start workers that are missing; give a dead one's run back at once, since we know that it is dead."""
        to_train = sum(cell.run.state in ("waiting", "running") for cell in cells)
        for name, status in self._pool.keep({cell.run.owner for cell in cells if cell.run.owner}, to_train).items():
            for cell in (*self.ledger.studies.cells(self.name), *self._parents()):
                if cell.run.state == "running" and cell.run.owner == name:
                    self._give_back(cell, status=status)

    def _give_back(self, cell: Cell, *, status: int = 0, orphan: bool = False) -> None:
        """Let a run be claimed again whose worker has ended.

        Raises:
            RunError: its workers die again and again.
        """
        run = cell.run
        with suppress(LeaseLostError):
            if orphan:
                release_orphan(self.ledger, run)
                return
            self.ledger.leases.release(run.id, run.attempt, f"its worker {run.owner} ended with status {status}")
        self.say(f"{cell.arm}, seed {cell.seed}: its worker ended with status {status}; another one goes on with it")
        self._lost[run.id] += 1
        if self._lost[run.id] >= _MOST_LOST:
            raise RunError(
                "Workers must live through the run they train",
                found=f"run {run.id} ({cell.arm}, seed {cell.seed}) lost {_MOST_LOST}, the last with status {status}",
                do=f"see whether memory is short (fewer --workers), read {self._pool.log}",
            )


def create(ledger: Ledger, study: Study) -> None:
    """Put a study into the ledger, fixed from now on; one that is there already must be the same.

    Its specification says what was known by then: see `known_before`.

    Raises:
        RecordError: a different study has this name, or its programs have changed since they ran.
        UserError: the data of an arm is missing.
    """
    refuse_other_networks(study.recipes, CONTROL)
    for name, recipe in study.recipes.items():
        with in_arm(name):
            for one in lineage(recipe):
                new_run(ledger, one, study.first_seed, environment="")
                refuse_unfit(ledger, one, study.first_seed)
    refuse_unknown_class(study.recipes[CONTROL], study.judged, cache_folder(ledger))
    spec, known = study.spec(), next((row for row in ledger.studies.all() if row.name == study.name), None)
    new = known_before(ledger, study) | prior_of(ledger, study) | common_beginnings(study, cache_folder(ledger))
    spec |= new if known is None else _as_made(known.spec, spec)
    arms = study.new_arms()
    if known is not None:
        # What it was extended by is no part of what its first command asked for.
        asked = {arm.name for arm in arms}
        later = (arm for arm in ledger.studies.arms(study.name) if arm.name not in asked) if _grew(known.spec) else ()
        arms += [NewArm(**{field.name: getattr(arm, field.name) for field in fields(NewArm)}) for arm in later]
    ledger.studies.create(study.name, study.question, spec, arms)
    if known is not None:
        refuse_changed_programs(ledger, study.name, study.recipes)


def _as_made(made: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a recorded study's specification that asking for it again does not decide."""
    # How it was typed is no part of what it asks, nor is the rule of the day, nor what was known by then.
    kept = {"commands": made.get("commands"), "rule_version": made.get("rule_version", 1)}
    kept |= {key: made[key] for key in (SEEN, EXPLORATORY, BEFORE, WAVES, ADDED, FORK, *PRIOR_KEYS) if key in made}
    # One that was extended is still the study that its first command asked for.
    if asked["rule"]["seeds"] in made.get(WAVES, ()):
        kept["rule"] = asked["rule"] | {"seeds": made["rule"]["seeds"]}
    if asked.get("design", {}) | {"folded": None} == made.get("design", {}) | {"folded": None}:
        kept |= {"design": made["design"]} if "design" in made else {}
    return kept


def _grew(spec: dict[str, Any]) -> bool:
    """Tell whether a study got arms or cells after it was made."""
    return bool(spec.get(ADDED)) or (spec.get("design") or {}).get("folded") is not None
