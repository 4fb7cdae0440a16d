"""Every notebook: names, lines and conclusions fit together, and every trial's settings are taken and train."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.settings import settings_hash
from ablata.notebooks.notebook import NAMES, Notebook, Question, load_notebook, read_notebook
from ablata.notebooks.studies import recipe_of, study_name, study_of
from ablata.studies.smoke import smoke

SCORE = re.compile(r"(?<![\d.])\d{2}\.\d{1,3}(?![\d.])")
"""A percentage of at least ten, with a fraction."""
NOTEBOOKS = [load_notebook(name) for name in NAMES]
QUESTIONS = [(notebook, question) for notebook in NOTEBOOKS for question in notebook.questions]
SMALLEST = """
name: mine
title: Mine
recipe: digits
metric: top-1
fragments:
  long: train.epochs=30 $wide
  wide: model.width=64
questions:
  - name: width
    title: Is it too narrow?
    base: $wide
    control: {name: base, change: as it is, lines: [1], scores: [90.5]}
    trials:
      - {name: wide, change: twice as wide, settings: model.width=64, lines: [2], scores: [91.5, null]}
    conclusions:
      - {text: Wider helps., lines: [3], claims: {wide: better}}
"""


def test_a_notebook_has_768_trials_whose_files_are_all_known() -> None:
    assert sum(len(question.every) for _, question in QUESTIONS) == 768
    for notebook, name in zip(NOTEBOOKS, NAMES, strict=True):
        assert notebook.name == name
    with pytest.raises(SettingsError, match="bisenet") as caught:
        load_notebook("bisene")
    assert caught.value.found == "bisene"


def test_fragments_are_written_out_in_their_place() -> None:
    notebook = load_notebook("label_refinery")
    assert notebook.overrides("a=1 $warmup_20 b=2") == ["a=1", *notebook.overrides("$warmup_20"), "b=2"]
    earlier = load_notebook("relation_rcnn").overrides("$three")
    assert earlier[0].startswith('start.earlier=[{"steps":74913,"changes":[')
    assert not any("$" in word for one in NOTEBOOKS for name in one.fragments for word in one.overrides(f"${name}"))


def test_a_file_that_is_wrong_is_refused_with_the_entry(tmp_path: Path) -> None:
    good = SMALLEST.replace("  long: train.epochs=30 $wide\n", "")
    file = tmp_path / "mine.yaml"
    file.write_text(good)
    assert read_notebook(file).question("width").difference(read_notebook(file).questions[0].trials[0]) is None
    for text, told in (
        (SMALLEST, "$wide"),
        (good.replace("base: $wide", "base: $wider"), "$wider"),
        (good.replace("name: wide,", "name: base,"), "base"),
        (good.replace("{wide: better}", "{base: better}"), "base"),
        (good.replace("{wide: better}", "{wide: good}"), "claims.wide"),
        (good.replace("lines: [2]", "lines: []"), "lines"),
        (good.replace("change: twice", "changed: twice"), "change"),
        (good.replace("change: twice", "seed: 3, change: twice"), "seed"),
        (good.replace("recipe: digits", "recipe: [digits"), "YAML"),
    ):
        file.write_text(text)
        with pytest.raises(SettingsError) as caught:
            read_notebook(file)
        assert told in f"{caught.value.must} {caught.value.found}"


@pytest.mark.slow
def test_a_question_compares_trials_that_differ() -> None:
    for notebook, question in QUESTIONS:
        recipes = {settings_hash(recipe_of(notebook, question, trial)) for trial in question.every}
        assert len(recipes) == len(question.every), f"two trials of {notebook.name}.{question.name} are one recipe"


def test_a_trial_whose_settings_are_not_the_authors_change_is_nominal() -> None:
    nominal = {
        notebook.name: sorted({line for _, trial in notebook.trials() if trial.nominal for line in trial.lines})
        for notebook in NOTEBOOKS
    }
    assert nominal["label_refinery"] == [102, 350]
    assert nominal["relation_rcnn"] == [187, 188, 203, 205]
    assert nominal["contrastive_seg"] == list(range(216, 227))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_a_question_is_a_study_at_the_small_scale(notebook: Notebook) -> None:
    for question in notebook.questions:
        study = study_of(notebook, question, "small")
        assert study.name == study_name(notebook, question, "small") == f"{notebook.name}.{question.name}"
        assert set(study.arms) <= {trial.name for trial in question.trials}
        if question.metric is not None:
            assert study.judged.key == f"cost/{question.metric}"
            assert study.spec()["margin_percent"] == 5
        full = recipe_of(notebook, question, question.control)
        if full.train.epochs is not None and study.control.train.epochs is not None:
            assert study.control.train.epochs == pytest.approx(full.train.epochs * notebook.small.factor)


@pytest.mark.realdata
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_scores_stand_where_the_trial_says(notebook: Notebook, folder: Path) -> None:
    lines = (folder / f"{notebook.name}.txt").read_text(encoding="utf-8").splitlines()
    missing = []
    for question, trial in notebook.trials():
        text = " ".join(lines[number - 1] for number in trial.lines)
        missing += [
            f"{question.name}.{trial.name}: {score} not in lines {trial.lines}"
            for score in trial.scores
            if not any(written in text for written in _ways_to_write(score))
        ]
    assert not missing, "\n".join(missing)


def _ways_to_write(score: float | None) -> list[str]:
    """Return a score as a note may have it: with fewer digits, or as a fraction where we have percent."""
    if score is None:
        return ["nan"]
    return [*(f"{score:{form}}" for form in ("g", ".1f", ".2f", ".3f")), f"{score / 100:g}"]


@pytest.mark.realdata
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda one: one.name)
def test_every_line_with_a_score_is_restated_or_left_out_with_a_reason(notebook: Notebook, folder: Path) -> None:
    known = {number for _, trial in notebook.trials() for number in trial.lines}
    known |= {number for question in notebook.questions for one in question.conclusions for number in one.lines}
    known |= {number for left in notebook.omissions for number in left.lines}
    lines = enumerate((folder / f"{notebook.name}.txt").read_text(encoding="utf-8").splitlines(), start=1)
    assert not [f"{number}: {line}" for number, line in lines if SCORE.search(line) and number not in known]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "question"), QUESTIONS, ids=[f"{notebook.name}.{question.name}" for notebook, question in QUESTIONS]
)
def test_every_trial_builds_and_takes_steps(notebook: Notebook, question: Question, shared_cache: Path) -> None:
    for trial in question.every:
        assert smoke(recipe_of(notebook, question, trial, "smoke"), shared_cache), trial.name
