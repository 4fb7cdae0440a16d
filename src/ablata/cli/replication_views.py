"""Notebooks and ledger put together for the page that compares them."""

from __future__ import annotations

from ablata.records.ledger import Ledger
from ablata.replications.index import NOTEBOOKS, study_name
from ablata.replications.trial import Notebook, Question
from ablata.reports.collect import study_view
from ablata.reports.replications import ClaimView, Finding, NotebookView
from ablata.reports.view import StudyView
from ablata.stats import Noise, visibility
from ablata.studies.noise import known_noise


def replication_views(ledger: Ledger) -> tuple[NotebookView, ...]:
    """Return every notebook with its conclusions, the noise of our runs, and our verdicts at the small scale."""
    return tuple(_notebook(ledger, notebook) for notebook in NOTEBOOKS)


def _notebook(ledger: Ledger, notebook: Notebook) -> NotebookView:
    noise = known_noise(ledger, notebook.recipe)
    recorded = {row.name for row in ledger.studies.all()}
    claims: list[ClaimView] = []
    for question in notebook.questions:
        name = study_name(notebook, question, "small")
        study = study_view(ledger, name, curves=False) if name in recorded else None
        claims += _claims(question, study, noise)
    trials = [trial for _, trial in notebook.trials()]
    return NotebookView(
        name=notebook.name,
        title=notebook.title,
        metric=notebook.metric,
        studies=len(notebook.questions),
        trials=len(trials),
        planned=sum(not trial.scores for trial in trials),
        noise=noise,
        scale=notebook.small.note,
        claims=tuple(claims),
    )


def _claims(question: Question, study: StudyView | None, noise: Noise | None) -> list[ClaimView]:
    found = []
    for conclusion in question.conclusions:
        for name, claim in conclusion.claims.items():
            trial = question.trial(name)
            difference = question.difference(trial)
            found.append(
                ClaimView(
                    question=question.name,
                    text=conclusion.text,
                    lines=conclusion.lines,
                    trial=name,
                    change=trial.change,
                    claim=claim,
                    control=question.score(question.control),
                    recorded=question.score(trial),
                    visible=visibility(difference, noise) if difference is not None and noise is not None else None,
                    finding=_finding(study, name) if study is not None else None,
                )
            )
    return found


def _finding(study: StudyView, trial: str) -> Finding | None:
    arm = next((one for one in study.arms if one.name == trial), None)
    effect = arm.effect if arm is not None else None
    if arm is None or arm.verdict is None or effect is None or effect.low is None or effect.high is None:
        return None
    return Finding(verdict=arm.verdict, effect=effect.value, low=effect.low, high=effect.high, seeds=arm.done)
