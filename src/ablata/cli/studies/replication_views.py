"""Notebooks and ledger put together for the page that compares them."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.cli.studies.replication_findings import collect
from ablata.notebooks.findings import RepeatedStudy, found_for, shipped_findings
from ablata.notebooks.notebook import NAMES, Notebook, Question, load_notebook
from ablata.notebooks.repeats import load_short_studies, short_study_name
from ablata.records.ledger import Ledger
from ablata.reports.replications.claims import ClaimView, Finding, NoiseView, NotebookView, OwnStudy
from ablata.stats import Noise, pool_noise, visibility
from ablata.studies.planning.noise import KnownNoise, known_noise

_MOST_NAMED = 3


def replication_views(ledger: Ledger) -> tuple[NotebookView, ...]:
    """Return every notebook with its conclusions, the noise they are held against, and our verdicts.

    Verdicts are those that ship with the package, and those of the lab's own studies in their place.
    """
    findings = shipped_findings().merged(collect(ledger))
    return tuple(_notebook(ledger, load_notebook(name), findings.of_notebook(name)) for name in NAMES)


def _notebook(ledger: Ledger, notebook: Notebook, repeated: Sequence[RepeatedStudy]) -> NotebookView:
    noises = {
        recipe: _noise(ledger, notebook, recipe, repeated)
        for recipe in {question.recipe or notebook.recipe for question in notebook.questions}
    }
    claims: list[ClaimView] = []
    for question in notebook.questions:
        claims += _claims(question, repeated, noises[question.recipe or notebook.recipe])
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
        own=tuple(_own(study) for study in repeated),
    )


def _own(study: RepeatedStudy) -> OwnStudy:
    return OwnStudy(
        name=study.study,
        setup=study.setup,
        runs=study.runs,
        noise=_measured(study),
        unit=study.unit,
        margin=study.margin,
        claims=len(study.claims),
        made=f"{study.date}, {study.hardware}",
        command=study.command,
    )


def _measured(study: RepeatedStudy) -> Noise | None:
    return None if study.noise is None else Noise(variance=study.noise.sd**2, df=study.noise.df)


def _noise(ledger: Ledger, notebook: Notebook, recipe: str, repeated: Sequence[RepeatedStudy]) -> NoiseView | None:
    """Return what a recipe's recorded scores are held against.

    The noise of our runs of the notebook's networks on its data; else what was published of full trainings; else, as a
    stand-in, that of our short trainings on other data.
    """
    short = {short_study_name(notebook, one) for one in load_short_studies(notebook.name)}
    known = known_noise(ledger, recipe, without=short) if notebook.small.same_data else None
    if known is not None:
        return NoiseView(noise=known.noise, source=_source(known))
    published = notebook.noise
    if published is not None:
        return NoiseView(noise=Noise(variance=published.sd**2, df=published.df), source=published.source, ours=False)
    pooled = pool_noise(noise for study in repeated if (noise := _measured(study)) is not None)
    if pooled is None:
        return None
    runs = sum(study.runs for study in repeated if study.noise is not None)
    return NoiseView(
        noise=Noise(variance=pooled.variance, df=pooled.df),
        source=f"{runs} short runs of our own on other data, for want of anything nearer: a rough guide",
        stand_in=True,
    )


def _source(known: KnownNoise) -> str:
    more = len(known.studies) - _MOST_NAMED
    named = ", ".join(known.studies[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    lengths = list(dict.fromkeys((known.epochs[0], known.epochs[-1]))) if known.epochs else []
    long = f" of {' to '.join(f'{length:g}' for length in lengths)} epochs" if lengths else ""
    plural = "ies" if len(known.studies) > 1 else "y"
    return f"{known.runs} runs{long} of our own (stud{plural} {named})"


def _claims(question: Question, repeated: Sequence[RepeatedStudy], noise: NoiseView | None) -> list[ClaimView]:
    found = []
    for conclusion in question.conclusions:
        for name, claim in conclusion.claims.items():
            trial = question.trial(name)
            difference = question.difference(trial)
            held = difference is not None and noise is not None
            telling = noise if noise is not None and not noise.stand_in else None
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
                    visible=visibility(difference, telling.noise) if difference is not None and telling else None,
                    finding=None if nominal else _finding(repeated, question.name, name),
                    nominal=nominal,
                )
            )
    return found


def _finding(repeated: Sequence[RepeatedStudy], question: str, trial: str) -> Finding | None:
    found = found_for(repeated, question, trial)
    if found is None:
        return None
    study, claim = found
    seeds = f"{claim.seeds} seed{'s' if claim.seeds != 1 else ''}"
    basis = f"{study.runs} runs, averaged over other changes" if study.factorial else seeds
    return Finding(
        verdict=claim.verdict,
        effect=claim.effect,
        low=claim.low,
        high=claim.high,
        seeds=claim.seeds,
        basis=f"{basis}, its opposite measured" if claim.reverse else basis,
        study=study.study,
        change=claim.change,
        reverse=claim.reverse,
        margin=study.margin,
    )
