"""`ablata replicate`: the notebooks as studies, listed, run at three scales, and reported."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import AblataError, SettingsError, choices, listing, suggestion
from ablata.base.quantities import counted
from ablata.cli.asking import WorkerCount
from ablata.cli.console import note, out, print_json
from ablata.cli.help import CommandGroup

if TYPE_CHECKING:
    from ablata.notebooks.notebook import Notebook, Question, Trial
    from ablata.notebooks.studies import Scale
    from ablata.studies.study import Study

app = CommandGroup(help="Repeat the experiments of five hand-written notebooks.")

Named = Annotated[str, typer.Argument(metavar="NOTEBOOK", help="A notebook, see `ablata replicate list`.")]
OneStudy = Annotated[str | None, typer.Option("--study", metavar="NAME", help="One of its studies; all by default.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SCALES = ("smoke", "short", "small", "full")
_MARKDOWN = ".md"


def _chosen(name: str, study: str | None) -> tuple[Notebook, tuple[Question, ...]]:
    """Return a notebook, and the one of its studies that is named, or all.

    Raises:
        SettingsError: there is no such notebook or study; names those there are.
    """
    from ablata.notebooks.notebook import load_notebook

    notebook = load_notebook(name)
    questions = {question.name: question for question in notebook.questions}
    if study is not None and study not in questions:
        raise SettingsError(
            f"A study of {name} must be one of {choices(questions, study)}",
            found=study,
            do=suggestion(study, questions),
        )
    return notebook, (questions[study],) if study is not None else notebook.questions


@app.command("list")
def list_notebooks(json: Json = False) -> None:
    """List notebooks and studies. How many trials each holds, and how many of them can be run.

    Nominal trials, whose settings are not what the author changed, stand apart and are not counted among them.
    """
    from ablata.notebooks.notebook import NAMES, load_notebook

    notebooks = [load_notebook(name) for name in NAMES]
    counts = {
        notebook.name: [_counted(notebook, question) for question in notebook.questions] for notebook in notebooks
    }
    if json:
        print_json({name: [asdict(study) for study in studies] for name, studies in counts.items()})
        return
    for notebook in notebooks:
        _list(notebook, counts[notebook.name])


@dataclass(frozen=True)
class _Counted:
    """A study of a notebook.

    Args:
        study: its name.
        title: what it asks.
        trials: how many it holds.
        planned: how many of them have no result.
        nominal: those whose settings are not what the author changed.
        refused: why some of the others cannot be run.
    """

    study: str
    title: str
    trials: int
    planned: int
    nominal: tuple[str, ...]
    refused: tuple[str, ...]


def _counted(notebook: Notebook, question: Question) -> _Counted:
    from ablata.notebooks.studies import recipe_of

    refused = []
    for trial in question.every:
        try:
            recipe_of(notebook, question, trial)
        except AblataError as error:
            refused.append(f"{trial.name}: {error.must}")
    planned = sum(not trial.scores for trial in question.every)
    nominal = tuple(trial.name for trial in question.every if trial.nominal)
    return _Counted(question.name, question.title, len(question.every), planned, nominal, tuple(refused))


def _list(notebook: Notebook, studies: list[_Counted]) -> None:
    from ablata.notebooks.repeats import load_short_studies

    trials = sum(study.trials for study in studies)
    nominal = sum(len(study.nominal) for study in studies)
    runnable = trials - nominal - sum(len(study.refused) for study in studies)
    out.print(f"{notebook.name}  {notebook.title}", markup=False, style="bold")
    apart = f", {nominal} nominal" if nominal else ""
    out.print(
        f"  {counted(len(studies), 'study')}, {counted(trials, 'trial')}, {runnable} can be run{apart}", markup=False
    )
    for study in studies:
        planned = f", {study.planned} without a result" if study.planned else ""
        out.print(f"    {study.study:<22} {study.trials:>3} trials{planned}  {study.title}", markup=False)
        for reason in study.refused:
            out.print(f"      cannot be run: {reason}", markup=False)
    for short in load_short_studies(notebook.name):
        conclusions = sum(len(change.answers) for change in short.changes.values())
        kind = "together" if short.factors else "each alone"
        told = f"{len(short.changes)} changes {kind}, on {conclusions} conclusions"
        told = f"{'the control against itself' if short.aa else told}; --scale short"
        out.print(f"    {short.name:<22} {told}", markup=False)
    if nominal:
        out.print("  nominal, the settings not being what the author changed:", markup=False)
    for question, trial in notebook.trials():
        if trial.nominal:
            text = f"{question.name}.{trial.name}  {trial.change}  [line {_lines(trial.lines)}]"
            out.print(f"    {text}{f'  {trial.note}' if trial.note else ''}", markup=False)
    for left in notebook.omissions:
        out.print(f"  left out, line {_lines(left.lines)}: {left.reason}", markup=False)


def _lines(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


@app.command("show")
def show(notebook: Named, study: OneStudy = None) -> None:
    """Show the trials of a notebook. What was changed, the settings that repeat it, what was recorded and concluded."""

    found, questions = _chosen(notebook, study)
    if study is None and found.notes:
        out.print(found.notes, markup=False)
    for question in questions:
        _show(found, question)


def _show(notebook: Notebook, question: Question) -> None:
    recipe = question.recipe or notebook.recipe
    out.print(f"\n{question.name}: {question.title}", markup=False, style="bold")
    out.print(f"  {shlex.join(('ablata', 'train', recipe, *notebook.overrides(question.base)))}", markup=False)
    if question.meaning:
        out.print(f"  scores: {question.meaning}", markup=False)
    for trial in question.every:
        scores = "/".join("nan" if score is None else f"{score:g}" for score in trial.scores) or "planned"
        difference = question.difference(trial)
        shown = "" if difference is None or trial is question.control else f" ({difference:+.2f})"
        text = f"{trial.name:<22} {scores}{shown}  {trial.change}  [line {_lines(trial.lines)}]"
        out.print(f"  {text}{'  nominal' if trial.nominal else ''}", markup=False)
        for text in filter(None, (shlex.join(notebook.overrides(trial.settings)), trial.note)):
            out.print(f"  {'':<22} {text}", markup=False)
    for conclusion in question.conclusions:
        out.print(f"  concluded (line {_lines(conclusion.lines)}): {conclusion.text}", markup=False)


@app.command("run")
def run(
    notebook: Named,
    study: OneStudy = None,
    scale: Annotated[
        str,
        typer.Option(
            metavar="|".join(_SCALES),
            help="smoke: a few steps on synthetic images; short: small networks, many changes in one study; small: the "
            "data at hand; full: as recorded.",
        ),
    ] = "smoke",
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of every trial, such as train.epochs=1."),
    ] = None,
    workers: WorkerCount = None,
) -> None:
    """Repeat the trials of a notebook. Each is built and stepped (smoke), or they are judged (short, small, full)."""
    if scale not in _SCALES:
        raise SettingsError(f"--scale must be one of {listing(_SCALES)}", found=scale, do=suggestion(scale, _SCALES))
    if scale == "short":
        _judge_short(notebook, study, sets or [], workers)
        return

    found, questions = _chosen(notebook, study)
    if scale == "smoke":
        _smoke(found, questions, sets or [])
    else:
        _judge(found, questions, scale, sets or [], workers)  # type: ignore[arg-type]


def _smoke(notebook: Notebook, questions: tuple[Question, ...], sets: list[str]) -> None:
    """Build and step every trial.

    Raises:
        typer.Exit: with 1 if one of them failed.
    """
    from ablata.base.home import lab_cache

    failed = 0
    for question in questions:
        wrong = [
            (trial, text)
            for trial in question.every
            if (text := _stepped(notebook, question, trial, sets, lab_cache())) is not None
        ]
        count = len(question.every)
        out.print(f"{question.name}: {count - len(wrong)} of {counted(count, 'trial')} built and stepped", markup=False)
        for trial, text in wrong:
            out.print(f"  {trial.name}: {text}", markup=False)
        failed += len(wrong)
    if failed:
        note(f"{counted(failed, 'trial')} failed")
        raise typer.Exit(1)


def _stepped(notebook: Notebook, question: Question, trial: Trial, sets: list[str], cache: Path) -> str | None:
    """Take a trial's steps; return what went wrong, or None."""
    from ablata.notebooks.studies import recipe_of
    from ablata.studies.smoke import smoke

    try:
        smoke(recipe_of(notebook, question, trial, "smoke", sets), cache)
    except AblataError as error:
        return f"{error.must} (found: {error.found})"
    return None


def _judge_short(name: str, study: str | None, sets: list[str], workers: int | None) -> None:
    """Run the short studies of a notebook.

    Raises:
        SettingsError: there is no such notebook or study, or settings are to be changed.
    """
    from ablata.notebooks.notebook import load_notebook
    from ablata.notebooks.repeats import load_short_studies, short_study

    notebook = load_notebook(name)
    studies = {short.name: short for short in load_short_studies(name)}
    if study is not None and study not in studies:
        raise SettingsError(
            f"A short study of {name} must be one of {choices(studies, study)}",
            found=study,
            do=suggestion(study, studies),
        )
    if sets:
        raise SettingsError(
            "Short studies are run as they are written: their verdicts are collected under their names",
            found=f"--set {sets[0]}", do="--scale small",
        )  # fmt: skip
    chosen = studies.values() if study is None else [studies[study]]
    _run_studies([short_study(notebook, short) for short in chosen], workers)


def _run_studies(studies: Iterable[Study], workers: int | None) -> None:
    """Run studies, those that are there already to their end, and print and write their reports."""
    from ablata.cli.studies.continuing import launch
    from ablata.cli.studies.reporting import print_report, write_report
    from ablata.records.ledger import Ledger
    from ablata.studies.launch import create

    with Ledger() as ledger:
        for study in studies:
            create(ledger, study)
            launch(ledger, study.name, workers)
            print_report(ledger, study.name, "terminal")
            write_report(ledger, study.name, "html", ledger.home / "reports" / f"{study.name}.html")


def _judge(
    notebook: Notebook, questions: tuple[Question, ...], scale: Scale, sets: list[str], workers: int | None
) -> None:
    from ablata.notebooks.studies import study_of

    for question in questions:
        _run_studies([study_of(notebook, question, scale, sets)], workers)
        if nominal := [trial.name for trial in question.every if trial.nominal]:
            note(f"nominal, the settings not being what the author changed: {', '.join(nominal)}")


@app.command("collect")
def collect(
    output: Annotated[Path, typer.Option(help="The YAML file to write.")] = Path("findings.yaml"),
) -> None:
    """Collect verdicts of notebooks, and noise, from this lab. Into a file like the one that ships.

    Studies that ship with the package and are not in this lab are kept.
    """
    from ablata.base.files import refuse_other_kind, write_text
    from ablata.cli.studies.replication_findings import collect as found_in
    from ablata.notebooks.findings import shipped_findings, write_findings
    from ablata.records.ledger import Ledger

    refuse_other_kind(output, (".yaml", ".yml"))
    with Ledger(create=False) as ledger:
        mine = found_in(ledger)
    write_text(output, write_findings(shipped_findings().merged(mine)))
    verdicts = sum(len(study.claims) for study in mine.studies)
    note(f"{counted(len(mine.studies), 'study')} of this lab, {verdicts} verdicts on conclusions: {output}")


@app.command("report")
def report(
    output: Annotated[Path, typer.Option(help="The file to write: .html, or .md for Markdown.")] = Path(
        "replications.html"
    ),
    notebook: Annotated[
        str | None, typer.Option("--notebook", metavar="NAME", help="One notebook; all by default.")
    ] = None,
) -> None:
    """Write a page of what the notebooks concluded. Whether their runs could show it, and our verdicts."""
    from ablata.base.files import PAGE, refuse_other_kind, write_text
    from ablata.cli.studies.replication_views import replication_views
    from ablata.records.ledger import Ledger
    from ablata.reports.replications.markdown import replications_markdown
    from ablata.reports.replications.page import replications_page, summary

    if notebook is not None:
        _chosen(notebook, None)
    refuse_other_kind(output, (*PAGE, _MARKDOWN))
    with Ledger(create=False) as ledger:
        views = replication_views(ledger)
    chosen = tuple(view for view in views if notebook in (None, view.name))
    write = replications_markdown if output.suffix.lower() == _MARKDOWN else replications_page
    write_text(output, write(chosen))
    note("".join(piece.text for piece in summary(chosen)))
    note(f"report: {output}")
