"""Notebooks and ledger put together for the page that compares them."""

from __future__ import annotations

from ablata.notebooks.notebook import NAMES, Notebook, Question, load_notebook
from ablata.notebooks.studies import study_name
from ablata.records.ledger import Ledger
from ablata.reports.collect import study_view
from ablata.reports.replications.claims import ClaimView, Finding, NoiseView, NotebookView
from ablata.reports.view import StudyView
from ablata.stats import Noise, visibility
from ablata.studies.planning.noise import KnownNoise, known_noise

_MOST_NAMED = 3


def replication_views(ledger: Ledger) -> tuple[NotebookView, ...]:
    """Return every notebook with its conclusions, the noise they are held against, and our verdicts."""
    return tuple(_notebook(ledger, load_notebook(name)) for name in NAMES)


def _notebook(ledger: Ledger, notebook: Notebook) -> NotebookView:
    recorded = {row.name for row in ledger.studies.all()}
    noises = {
        recipe: _noise(ledger, notebook, recipe)
        for recipe in {question.recipe or notebook.recipe for question in notebook.questions}
    }
    claims: list[ClaimView] = []
    for question in notebook.questions:
        name = study_name(notebook, question, "small")
        study = study_view(ledger, name, curves=False) if name in recorded else None
        claims += _claims(question, study, noises[question.recipe or notebook.recipe])
    trials = [trial for _, trial in notebook.trials()]
    loose = [
        conclusion for question in notebook.questions for conclusion in question.conclusions if not conclusion.claims
    ]
    return NotebookView(
        name=notebook.name,
        title=notebook.title,
        metric=notebook.metric,
        studies=len(notebook.questions),
        trials=len(trials),
        planned=sum(not trial.scores for trial in trials),
        nominal=tuple(
            (f"{question.name}.{trial.name}", trial.lines) for question, trial in notebook.trials() if trial.nominal
        ),
        scale=notebook.small.note,
        claims=tuple(claims),
        loose=tuple((one.text, one.lines) for one in loose),
    )


def _noise(ledger: Ledger, notebook: Notebook, recipe: str) -> NoiseView | None:
    """Return what a recipe's recorded scores are held against: noise of our runs on the same data, else published."""
    known = known_noise(ledger, recipe) if notebook.small.same_data else None
    if known is not None:
        return NoiseView(noise=known.noise, source=_source(known))
    published = notebook.noise
    if published is None:
        return None
    return NoiseView(noise=Noise(variance=published.sd**2, df=published.df), source=published.source, ours=False)


def _source(known: KnownNoise) -> str:
    more = len(known.studies) - _MOST_NAMED
    named = ", ".join(known.studies[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    lengths = list(dict.fromkeys((known.epochs[0], known.epochs[-1]))) if known.epochs else []
    long = f" of {' to '.join(f'{length:g}' for length in lengths)} epochs" if lengths else ""
    plural = "ies" if len(known.studies) > 1 else "y"
    return f"{known.runs} runs{long} of our own (stud{plural} {named})"


def _claims(question: Question, study: StudyView | None, noise: NoiseView | None) -> list[ClaimView]:
    found = []
    for conclusion in question.conclusions:
        for name, claim in conclusion.claims.items():
            trial = question.trial(name)
            difference = question.difference(trial)
            held = difference is not None and noise is not None
            nominal = trial.nominal or question.control.nominal
            found.append(
                ClaimView(
                    question=question.name,
                    title=question.title,
                    text=conclusion.text,
                    lines=conclusion.lines,
                    trial=name,
                    change=trial.change,
                    claim=claim,
                    control=question.score(question.control),
                    recorded=question.score(trial),
                    beside=question.control.change,
                    noise=noise if held else None,
                    visible=visibility(difference, noise.noise) if difference is not None and noise else None,
                    finding=_finding(study, name) if study is not None and not nominal else None,
                    nominal=nominal,
                )
            )
    return found


def _finding(study: StudyView, trial: str) -> Finding | None:
    arm = next((arm for arm in study.arms if arm.name == trial), None)
    effect = arm.effect if arm is not None else None
    if arm is None or arm.verdict is None or effect is None or effect.low is None or effect.high is None:
        return None
    return Finding(verdict=arm.verdict, effect=effect.value, low=effect.low, high=effect.high, seeds=arm.done)
