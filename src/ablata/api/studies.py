"""Studies: planned, run to their verdicts, read back from the ledger, reported."""

from __future__ import annotations

import html
import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from ablata.api.flipped import keep_flipped
from ablata.api.opening import LedgerAddress, open_ledger
from ablata.api.progress import StudyDisplay, progress_console
from ablata.api.rows import ResultRows
from ablata.api.runs import runs
from ablata.base.errors import SettingsError, listing, suggestion
from ablata.base.files import PAGE, refuse_other_kind, write_text
from ablata.base.quantities import counted
from ablata.base.user_code import refuse_while_importing
from ablata.records.ledger import Ledger
from ablata.records.rows import StudyRow
from ablata.records.run_folder.code import changed_files
from ablata.reports.collect import study_view
from ablata.reports.console import plain_lines
from ablata.reports.html import study_page
from ablata.reports.items.evidence import item_sections
from ablata.reports.markdown import study_markdown
from ablata.reports.terminal import study_report
from ablata.reports.view import StudyView, as_json
from ablata.reports.visuals import study_sections
from ablata.reports.words import answer, verdict_words
from ablata.stats import Mode, rule_of
from ablata.studies.again import run_again
from ablata.studies.cluster.choice import Cluster, refuse_on_cluster
from ablata.studies.identity import cache_folder, refuse_missing_programs
from ablata.studies.index import load_study
from ablata.studies.launch import StudyRunner, create
from ablata.studies.picking import PICK, refuse_small_budget
from ablata.studies.planning.worker_trial import refuse_untimed, workers_for
from ablata.studies.study import Study
from ablata.studies.workers.in_process import InProcess
from ablata.studies.workers.pool import Workers, may_use_gpu
from ablata.studies.workers.together import Together
from ablata.trainers.function import Function

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from ablata.studies.planning.study_plan import StudyPlan

ENDINGS = {"terminal": (".txt",), "markdown": (".md", ".markdown"), "html": PAGE, "json": (".json",)}
"""Forms of a report, each with its files' endings."""
FORMATS = tuple(ENDINGS)


@dataclass(frozen=True)
class StudyResult:
    """A study as it stood when it was read: its question, its verdicts, its runs.

    Args:
        view: all that its report shows.
        ledger: where it is.
    """

    view: StudyView
    ledger: LedgerAddress

    @property
    def name(self) -> str:
        """Its name in the ledger."""
        return self.view.name

    @property
    def state(self) -> str:
        """`open` or `finished`."""
        return self.view.state

    @property
    def answer(self) -> str:
        """The answer to its question, in a sentence."""
        return "".join(piece.text for piece in answer(self.view))

    @property
    def verdicts(self) -> dict[str, str | None]:
        """The verdict of each arm by name: better, worse, equivalent, undecided, unstable; None before the first."""
        return {arm.name: arm.verdict for arm in self.view.treatments}

    @property
    def rows(self) -> ResultRows:
        """One row an arm, the control first.

        Columns: arm, change, verdict, effect (arm minus control), low, high (its interval, valid over all looks and
        arms), corrected (the effect, corrected for being shown because it was large), confidence, mean (score), seeds,
        diverged, seconds (of a run), reason.
        """
        arms = sorted(self.view.arms, key=lambda arm: not arm.is_control)
        return ResultRows(
            {
                "arm": arm.name,
                "change": arm.change,
                "verdict": verdict_words(arm, self.view.rule.mode),
                "effect": arm.effect.value if arm.effect else None,
                "low": arm.effect.low if arm.effect else None,
                "high": arm.effect.high if arm.effect else None,
                "corrected": arm.corrected,
                "confidence": arm.confidence,
                "mean": arm.mean.value if arm.mean else None,
                "seeds": arm.done,
                "diverged": arm.diverged,
                "seconds": arm.cost.seconds,
                "reason": arm.reason,
            }
            for arm in arms
        )

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the arms as a list of dictionaries; the columns are those of `rows`."""
        return self.rows.to_rows()

    def to_frame(self) -> pd.DataFrame:
        """Return the arms as a pandas DataFrame; the columns are those of `rows`."""
        return self.rows.to_frame()

    def runs(self) -> ResultRows:
        """Return the study's runs, newest first, one a row."""
        with self.ledger.open() as ledger:
            return runs(study=self.name, ledger=ledger)

    def report(self, path: str | Path, format: str | None = None) -> Path:
        """Write the report to a file and return its path; see `ablata.report`."""
        with self.ledger.open() as ledger:
            return report(self.name, path, format, ledger=ledger)

    def __repr__(self) -> str:
        return f"<study {self.name}: {self.state}; {self.answer}>"

    def _repr_html_(self) -> str:
        said = "".join(
            f"<b>{html.escape(piece.text)}</b>" if piece.strong else html.escape(piece.text)
            for piece in answer(self.view)
        )
        return f"<p>{html.escape(self.view.question or self.name)}</p><p>{said}</p>{self.rows._repr_html_()}"


def study(name: str, *, ledger: Ledger | None = None) -> StudyResult:
    """Return a study of the ledger as it stands.

    Args:
        name: its name.
        ledger: where it is; None: the lab's own.

    Raises:
        RecordError: there is no study of this name.
    """
    with open_ledger(ledger, create=False) as opened:
        return StudyResult(study_view(opened, name), LedgerAddress.of(opened))


def plan_study(
    study: Study | str,
    *,
    pilot: int = 0,
    effect: float | None = None,
    workers: int | None = None,
    progress: bool | Console | None = None,
    ledger: Ledger | None = None,
    together: str = "never",
) -> StudyPlan:
    """Say what a study will cost, what it can find, and how many seeds its question needs; without training it.

    Args:
        study: the study, its name, or `path/to/file.py:function`.
        pilot: run the control at so many seeds first, for its noise and its time; the study shares these runs.
        effect: the least difference that is to be found, in the metric's unit; None: the margin.
        workers: local worker processes; None: one for each GPU or core.
        progress: as for `run_study`, of the pilot.
        ledger: where it will be; None: the lab's own.
        together: as for `run_study`.

    Raises:
        UserError: the data is missing, or an arm cannot be built.
        RunError: the control fails in the pilot.
    """
    from ablata.studies.planning.plan import plan_study as plan_in_ledger
    from ablata.studies.planning.sizing import run_pilot

    asked = load_study(study) if isinstance(study, str) else study
    if effect is not None and not effect > 0:
        raise SettingsError(
            "The difference to be found must be a number above 0",
            found=f"{effect:g}",
            do="give one in the unit of the metric, such as 1",
        )
    size = Workers.for_this_machine(workers, len(asked.recipes), gpu=may_use_gpu(asked.new_arms()))
    console = progress_console(progress) if isinstance(progress, bool | None) else progress
    with open_ledger(ledger) as opened:
        if pilot:
            refuse_missing_programs(asked.recipes.values())
            run_pilot(opened, asked, pilot, threads=size.threads, say=lambda line: console.print(Text(line)))
        return plan_in_ledger(opened, asked, size.count, size.threads, effect=effect, together=Together.parse(together))


def fit_budget(
    study: Study,
    budget: float,
    *,
    workers: int | None = None,
    progress: bool | Console | None = None,
    ledger: Ledger | None = None,
    together: str = "never",
) -> Study:
    """Return a study with as many seeds as a time pays for; one that is recorded already keeps the seeds it has.

    What a run takes is known from earlier ones, of a recipe from timed steps, of a program from one run of the control.

    Args:
        study: the study; its number of seeds does not matter.
        budget: wall time in seconds, if no arm stops early.
        workers, progress, ledger, together: as for `plan_study`.

    Raises:
        SettingsError: it does not pay for the seeds that the first verdict needs.
        UserError, RunError: as for `plan_study`.
    """
    from ablata.studies.planning.sizing import seeds_in_budget

    with open_ledger(ledger) as opened:
        known = next((row for row in opened.studies.all() if row.name == study.name), None)
        if known is not None:
            return replace(study, seeds=rule_of(known.spec).seeds)
        # A study that is judged once at its end needs two seeds for that.
        least = 2 if study.fixed else study.rule().first_look
        planned = plan_study(study, workers=workers, ledger=opened, together=together)
        if not math.isfinite(sum(planned.row)):
            planned = plan_study(study, pilot=1, workers=workers, progress=progress, ledger=opened, together=together)
        return replace(study, seeds=seeds_in_budget(budget, planned.wall, least))


def as_pick(
    study: Study,
    runs: int | None,
    budget: float | None = None,
    *,
    workers: int | None = None,
    progress: bool | Console | None = None,
    ledger: Ledger | None = None,
) -> Study:
    """Return the study that takes the best of a study's settings with a budget of runs; it claims nothing.

    Args:
        study: its control, arms and metric count; margin, rule and seeds do not.
        runs: in all, the control's included; None: as many as `budget` pays for.
        budget: wall time in seconds.
        workers, progress, ledger: as for `plan_study`, where a time is given.

    Raises:
        SettingsError: the budget pays for too few runs, or the study has factors.
        UserError, RunError: as for `plan_study`.
    """
    if study.factors:
        raise SettingsError("A pick is between arms", found=f"study {study.name} with factors", do="--arm")
    plain = replace(study, margin=None, history=None, fixed=False, noise="scores", extendable=False)
    name = f"{study.name}-pick"
    with open_ledger(ledger) as opened:
        known = next((row for row in opened.studies.all() if row.name == name), None)
        if runs is None and known is not None:
            runs = rule_of(known.spec).seeds
        if runs is None:
            planned = plan_study(plain, workers=workers, ledger=opened)
            if not math.isfinite(sum(planned.row)):
                planned = plan_study(plain, pilot=1, workers=workers, progress=progress, ledger=opened)
            seconds = sum(planned.row) / len(planned.costs) / planned.workers
            runs = int((budget or 0.0) / seconds)
            refuse_small_budget(name, runs, len(study.arms), seconds)
    commands = tuple(
        line.replace("ablata study run", "ablata study pick", 1).replace("--seeds", "--runs", 1)
        for line in plain.commands
    )
    question = f"Which is best: {listing(map(str, ('control', *study.arms)))}?"
    return replace(plain, name=name, seeds=runs, pick=True, mode=Mode.CLAIM, commands=commands, question=question)


def run_study(
    study: Study | str,
    *,
    workers: int | Literal["auto"] | None = None,
    progress: bool | Console | None = None,
    trust_code: bool = False,
    cluster: Cluster | None = None,
    ledger: Ledger | None = None,
    again: Sequence[str] = (),
    together: str = "never",
    pack: float | None = None,
) -> StudyResult:
    """Run a study to its verdicts with local worker processes; interrupted or killed, the same call goes on with it.

    Functions that live in this process alone, as those typed into a notebook do, are called in it.

    Runs equal in recipe, code, data, seed and machine that the ledger has already are shared, not trained again.

    Args:
        study: the study; or the name of one that the ledger has or that comes with the package; or
            `path/to/file.py:function`.
        workers: local worker processes; None: one for each GPU or core; auto: as many as some timed steps of the
            control show to do most together; 0: functions are called in this process.
        progress: True: shown; False: not; None: shown in a terminal and in a notebook. Or the console to show it on.
        trust_code: run code that came with an imported study.
        cluster: Ray or Slurm, whose jobs are the workers, in place of local ones.
        ledger: where it is recorded; None: the lab's own.
        again: arms whose failed runs of programs are run again, since the reason lay outside them and is gone.
        together: how many runs of one network a local worker trains as one: auto, never, or a number.
        pack: GB of a GPU's memory for each run, so that as many as fit share one; None: each has one to itself.

    Raises:
        UserError: the study, its data or its name is wrong; nothing was started.
        RunError: a run failed again and again; the study goes on once the reason is gone.
        KeyboardInterrupt: passed on after the workers have saved what they had.
    """
    refuse_while_importing()
    refuse_on_cluster(cluster, together, pack)
    share = None if pack is None else int(pack * 10**9)
    if share is not None:
        Workers.for_this_machine(None, 1, gpu_memory=share)  # refuses before anything is recorded
    console = progress_console(progress) if isinstance(progress, bool | None) else progress
    if workers == "auto" and isinstance(study, Study):
        refuse_untimed([arm.recipe.get("task") for arm in study.new_arms()])
    own = 1 if cluster is not None or workers == "auto" else workers
    functions = _called_here(study, own) if isinstance(study, Study) or own == 0 else None
    with open_ledger(ledger) as opened:
        opened.files.ready(opened.runs.find(), lambda line: console.print(Text(line)))
        name = _recorded(opened, study, here=cluster is None)
        arms = opened.studies.arms(name)
        put_back = run_again(opened, name, again) if again else ()
        if opened.studies.get(name).state != "finished":
            here = None if functions is None else InProcess(opened, name, functions)
            size = Workers(0, 0)
            with StudyDisplay(opened, name, console) as display:
                if here is None:
                    size = workers_for(arms, workers, cache_folder(opened), display.say, gpu_memory=share)
                jobs = (
                    None
                    if cluster is None
                    else cluster.pool(opened, name, arms, trust_code=trust_code, say=display.say)
                )
                display.say(_begins(opened.studies.get(name), len(arms), size.count if jobs is None else jobs.count))
                for line in put_back:
                    display.say(line)
                if too_few := rule_of(opened.studies.get(name).spec).too_few_seeds:
                    display.say(too_few)
                grouping, why = Together.parse(together).of_study(opened.studies.get(name).spec)
                if why:
                    display.say(why)
                StudyRunner(
                    opened, name, size, display.update, display.say, trust_code=trust_code, here=here, jobs=jobs,
                    together=grouping,
                ).run()  # fmt: skip
        else:
            say = StudyDisplay(opened, name, console).say
            say(f"study {name} is finished:")
            changed = changed_files(opened, name)
            if gone := [file for file in changed if not Path(file).exists()]:
                say(f"gone since it was trained: {listing(gone)}")
            if edited := [file for file in changed if file not in gone]:
                say(f"it was trained before {listing(edited)} changed; another name asks with the files as they are")
        return StudyResult(study_view(opened, name), LedgerAddress.of(opened))


def _recorded(ledger: Ledger, study: Study | str, *, here: bool = False) -> str:
    """Return the name of a study in the ledger, putting it there if it is new; `here`: its programs run here."""
    if isinstance(study, str) and study in {row.name for row in ledger.studies.all()}:
        return study
    asked = load_study(study) if isinstance(study, str) else study
    if here:
        refuse_missing_programs(asked.recipes.values())
    create(ledger, asked)
    return asked.name


def _called_here(study: Study | str, workers: int | None) -> dict[str, Function] | None:
    """Return the functions of a study, by arm, that are called in this process; None: worker processes do it.

    Raises:
        SettingsError: workers cannot find them, or 0 workers are asked for and it is no study of functions.
    """
    recipes = study.recipes if isinstance(study, Study) else {}
    functions = {arm: one for arm, one in recipes.items() if isinstance(one, Function)}
    if workers == 0 and (not functions or len(functions) < len(recipes)):
        raise SettingsError(
            "Only functions are called in this process", found="workers=0 for another study", do="workers=1"
        )
    bound = next((function.name for function in functions.values() if not function.is_importable), None)
    if workers and bound is not None:
        raise SettingsError(
            "Worker processes must find a function in a file",
            found=f"{bound}, which lives in this process alone",
            do="write it to a file and import it from there, or let it be called here: workers=0",
        )
    return functions if workers == 0 or bound is not None else None


def _begins(study: StudyRow, arms: int, workers: int) -> str:
    told = f"{arms - 1} arm{'s' * (arms > 2)} and the control"
    if study.spec.get("aa"):
        told = f"{counted(rule_of(study.spec).seeds, 'run')} of the control"
    elif study.spec.get(PICK):
        told = f"{told}, a budget of {counted(rule_of(study.spec).seeds, 'run')}"
    elif "design" in study.spec:
        told = f"{len(study.spec['design']['changes'])} changes in {arms} combinations"
    return f"study {study.name}: {told}, {f'{workers} worker' + 's' * (workers > 1) if workers else 'in this process'}"


def report(name: str, path: str | Path, format: str | None = None, *, ledger: Ledger | None = None) -> Path:
    """Write the report of a study to a file; links in it lead to the run folders.

    Args:
        name: the study's name.
        path: the file to write.
        format: terminal, markdown, html or json; None: by the file's ending, HTML for an unknown one.
        ledger: where the study is; None: the lab's own.

    Returns:
        The path.

    Raises:
        SettingsError: there is no such format.
        RecordError: there is no study of this name.
    """
    path = Path(path)
    form = format or next((form for form, endings in ENDINGS.items() if path.suffix.lower() in endings), "html")
    check_format(form)
    refuse_other_kind(path, ENDINGS[form])
    with open_ledger(ledger, create=False) as opened:
        way = os.path.relpath(opened.home, path.absolute().parent) + "/"
        write_text(path, report_text(opened, name, form, home=way))
    return path


def check_format(form: str) -> None:
    """Refuse a format that there is not.

    Raises:
        SettingsError: names those there are.
    """
    if form not in FORMATS:
        raise SettingsError(
            f"The format of a report must be one of {listing(FORMATS)}", found=form, do=suggestion(form, FORMATS)
        )


def report_text(ledger: Ledger, name: str, form: str, *, home: str = "") -> str:
    """Return the report of a study in one of `FORMATS`; `home` is the way from the page to the lab's home."""
    check_format(form)
    view = study_view(ledger, name, home=home, curves=form != "terminal")
    if form == "markdown":
        return study_markdown(view)
    if form == "html":
        undrawn = keep_flipped(ledger, name)
        return study_page(view, extra=(*item_sections(ledger, name, undrawn), *study_sections(ledger, name)))
    return json.dumps(as_json(view), indent=2) + "\n" if form == "json" else plain_lines(study_report(view, plain=True))


def study_status(ledger: Ledger, name: str) -> dict[str, Any]:
    """Return a study's state, runs by state, workers at work, and the runs with something wrong."""
    now, cells = time.time(), ledger.studies.cells(name)
    silent = {
        cell.run.id
        for cell in cells
        if cell.run.state == "running" and cell.run.lease_until is not None and cell.run.lease_until < now
    }
    working = [cell for cell in cells if cell.run.state == "running" and cell.run.id not in silent]
    troubled = [
        {
            "run": cell.run.id,
            "arm": cell.arm,
            "seed": cell.seed,
            "state": cell.run.state_word,
            "worker": cell.run.owner,
            "silent": cell.run.id in silent,
            "error": cell.run.error,
        }
        for cell in {cell.run.id: cell for cell in cells}.values()
        if cell.run.id in silent or cell.run.error
    ]
    return {
        "study": name,
        "state": ledger.studies.get(name).state,
        "runs": dict(Counter(cell.run.state_word for cell in cells)),
        "workers": sorted({str(cell.run.owner) for cell in working}),
        "troubled": troubled,
    }
