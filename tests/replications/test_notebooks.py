"""Every notebook: names, lines and conclusions fit together, and every trial's settings are taken and train."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.settings import settings_hash
from ablata.replications.index import NOTEBOOKS, Scale, recipe_of, study_name, study_of
from ablata.replications.trial import Notebook, Question, Trial
from ablata.studies.smoke import smoke

SCORE = re.compile(r"(?<![\d.])\d{2}\.\d{1,3}(?![\d.])")
"""A percentage of at least ten, with a fraction."""
NOTES = Path(__file__).parents[3] / "shared" / "notebooks"
QUESTIONS = [
    pytest.param(one, question, id=f"{one.name}.{question.name}") for one in NOTEBOOKS for question in one.questions
]
TRIALS = [
    pytest.param(one, question, trial, id=f"{one.name}.{question.name}.{trial.name}")
    for one in NOTEBOOKS
    for question, trial in one.trials()
]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_names_are_unique(notebook: Notebook) -> None:
    names = [question.name for question in notebook.questions]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("notebook", "question"), QUESTIONS)
def test_a_question_compares_trials_that_differ_and_concludes_on_its_own(
    notebook: Notebook, question: Question
) -> None:
    assert question.trials
    names = [trial.name for trial in question.every]
    assert len(set(names)) == len(names)
    assert question.control.settings == "" or question.control.settings != question.base
    for conclusion in question.conclusions:
        assert conclusion.lines
        assert set(conclusion.claims) <= set(names) - {question.control.name}
    recipes = {settings_hash(recipe_of(notebook, question, trial)): trial.name for trial in question.every}
    assert len(recipes) == len(names), f"two trials of {question.name} are one recipe"


@pytest.mark.parametrize(("notebook", "question"), QUESTIONS)
def test_a_question_is_a_study_at_the_small_scale(notebook: Notebook, question: Question) -> None:
    made = study_of(notebook, question, "small")
    assert made.name == study_name(notebook, question, "small") == f"{notebook.name}.{question.name}"
    assert set(made.arms) <= {trial.name for trial in question.trials}
    full = recipe_of(notebook, question, question.control)
    factor = notebook.small.factor
    if full.train.epochs is not None and made.control.train.epochs is not None:
        assert made.control.train.epochs == pytest.approx(full.train.epochs * factor)


@pytest.mark.realdata
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_scores_stand_where_the_trial_says(notebook: Notebook) -> None:
    file = NOTES / f"{notebook.name}.txt"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    lines = file.read_text(encoding="utf-8").splitlines()
    missing = []
    for question, trial in notebook.trials():
        text = " ".join(lines[number - 1] for number in trial.lines)
        missing += [
            f"{question.name}.{trial.name}: {score:g} not in lines {trial.lines}"
            for score in trial.scores
            if not any(written in text for written in _ways_to_write(score))
        ]
    assert not missing, "\n".join(missing)


def _ways_to_write(score: float) -> list[str]:
    """Return a score as a note may have it: with fewer digits, or as a share where we have percent."""
    return [*(f"{score:{form}}" for form in ("g", ".1f", ".2f", ".3f")), f"{score / 100:g}"]


@pytest.mark.realdata
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_every_line_with_a_score_is_restated_or_left_out_with_a_reason(notebook: Notebook) -> None:
    file = NOTES / f"{notebook.name}.txt"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    known = {number for _, trial in notebook.trials() for number in trial.lines}
    known |= {number for question in notebook.questions for one in question.conclusions for number in one.lines}
    known |= {number for left in notebook.omissions for number in left.lines}
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
    assert not [f"{number}: {line}" for number, line in lines if SCORE.search(line) and number not in known]


@pytest.mark.slow
@pytest.mark.parametrize(("notebook", "question", "trial"), TRIALS)
def test_every_trial_builds_and_takes_steps(
    notebook: Notebook, question: Question, trial: Trial, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scale: Scale = "smoke"
    cache = tmp_path_factory.getbasetemp() / "smoke"
    assert smoke(recipe_of(notebook, question, trial, scale), cache)
