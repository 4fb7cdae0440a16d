"""What the studies of a lab say of the notebooks' conclusions, ready for the file that ships."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ablata.notebooks.findings import MeasuredNoise, RepeatedClaim, RepeatedFindings, RepeatedStudy
from ablata.notebooks.notebook import NAMES, Notebook, Question, load_notebook
from ablata.notebooks.repeats import ShortStudy, load_short_studies, short_study_name
from ablata.notebooks.studies import study_name
from ablata.records.ledger import Ledger
from ablata.reports.collect import moment, study_view
from ablata.reports.view import ArmView, StudyView
from ablata.stats import Noise
from ablata.studies.planning.noise import noise_of_study

if TYPE_CHECKING:
    from ablata.notebooks.studies import Scale

_DIGITS = 4
_FEWEST_DF = 5
"""Degrees of freedom of a noise that is worth telling where there is no verdict: those of six runs of a control."""
_ENDED = ("completed", "diverged")
_SCALES: tuple[Scale, ...] = ("small", "full")


def collect(ledger: Ledger) -> RepeatedFindings:
    """Return the verdicts of every study of a lab that repeats trials of a notebook, or tells their noise."""
    studies = (study for name in NAMES for study in _of_notebook(ledger, load_notebook(name)))
    return RepeatedFindings(studies=tuple(study for study in studies if study.claims or _tells_noise(study)))


def _tells_noise(study: RepeatedStudy) -> bool:
    return study.noise is not None and study.noise.df >= _FEWEST_DF


def _of_notebook(ledger: Ledger, notebook: Notebook) -> Iterator[RepeatedStudy]:
    recorded = {row.name for row in ledger.studies.all()}
    for short in load_short_studies(notebook.name):
        if (name := short_study_name(notebook, short)) in recorded:
            yield _short_study(ledger, notebook, short, name)
    for question in notebook.questions:
        for scale in _SCALES:
            if (name := study_name(notebook, question, scale)) in recorded:
                yield _question_study(ledger, notebook, question, scale, name)


def _short_study(ledger: Ledger, notebook: Notebook, short: ShortStudy, name: str) -> RepeatedStudy:
    view = study_view(ledger, name, curves=False)
    arms = {arm.name: arm for arm in view.arms}
    claims = []
    for change, one in short.changes.items():
        for answer in one.parsed:
            found = _claim(arms[change], answer.question, answer.trial) if change in arms else None
            if found is not None:
                claims.append(found.turned().model_copy(update={"reverse": True}) if answer.reverse else found)
    return _study(ledger, view, notebook, "short", short.setup, claims)


def _question_study(ledger: Ledger, notebook: Notebook, question: Question, scale: Scale, name: str) -> RepeatedStudy:
    view = study_view(ledger, name, curves=False)
    nominal = {trial.name for trial in question.every if trial.nominal or question.control.nominal}
    claimed = {trial for conclusion in question.conclusions for trial in conclusion.claims}
    claims = [
        found
        for arm in view.arms
        if arm.name in claimed - nominal and (found := _claim(arm, question.name, arm.name)) is not None
    ]
    setup = notebook.small.note if scale == "small" else "as recorded"
    return _study(ledger, view, notebook, scale, setup, claims)


def _claim(arm: ArmView, question: str, trial: str) -> RepeatedClaim | None:
    """Return the verdict on an arm; None where there is none yet."""
    if arm.verdict is None:
        return None
    effect = arm.effect
    figures = {}
    if effect is not None and effect.low is not None and effect.high is not None:
        figures = {"effect": effect.value, "low": effect.low, "high": effect.high}
    elif arm.verdict != "unstable":
        return None
    figures = {name: round(value, _DIGITS) for name, value in figures.items()}
    return RepeatedClaim.model_validate(
        {"question": question, "trial": trial, "change": arm.name, "verdict": arm.verdict, "seeds": arm.done, **figures}
    )


def _study(
    ledger: Ledger, view: StudyView, notebook: Notebook, scale: str, setup: str, claims: list[RepeatedClaim]
) -> RepeatedStudy:
    control = next(arm for arm in ledger.studies.arms(view.name) if arm.is_control)
    cells = [cell.run for cell in ledger.studies.cells(view.name) if cell.run.state in _ENDED]
    spec = ledger.studies.get(view.name).spec
    machine = dict(view.environments[0].items) if view.environments else {}
    return RepeatedStudy.model_validate(
        {
            "study": view.name,
            "notebook": notebook.name,
            "scale": scale,
            "setup": setup,
            "recipe": control.recipe_name,
            "factorial": view.factorial is not None,
            "metric": view.metric.name,
            "unit": view.metric.unit,
            "margin": view.margin,
            "runs": len({run.id for run in cells}),
            "noise": _measured(noise_of_study(ledger, view.name)),
            "rule": f"{view.rule.mode}, {view.rule.alpha:.0%}, version {spec.get('rule_version', 1)}",
            "date": moment(max((run.finished or 0.0 for run in cells), default=None))[:10],
            "hardware": _hardware(machine),
            "command": view.commands[0],
            "claims": tuple(claims),
        }
    )


def _measured(noise: Noise | None) -> MeasuredNoise | None:
    if noise is None or noise.sd <= 0:
        return None
    return MeasuredNoise(sd=round(noise.sd, _DIGITS), df=round(noise.df, 1))


def _hardware(machine: dict[str, str]) -> str:
    cores = machine.get("cores", "")
    named = f"{cores} core{'s' if cores != '1' else ''}" if cores else ""
    return ", ".join(filter(None, (machine.get("processor", ""), named)))
