"""Short studies of the notebooks: what they bear on is there, and what was found of it agrees with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.notebooks.findings import (
    RepeatedClaim,
    RepeatedFindings,
    RepeatedStudy,
    found_for,
    read_findings,
    shipped_findings,
    write_findings,
)
from ablata.notebooks.notebook import NAMES, load_notebook
from ablata.notebooks.repeats import ClaimAnswer, load_short_studies, read_short_studies, short_study, short_study_name

SMALLEST = """
studies:
  - name: short
    title: Which change matters?
    setup: a small network
    base: model.depth=8
    margin: 1
    seeds: 2
    factors:
      none: {settings: loss.smoothing=0.1, answers: [-parts/no-smoothing]}
"""


@pytest.mark.parametrize("name", NAMES)
def test_every_short_study_of_a_notebook_can_be_asked(name: str) -> None:
    notebook = load_notebook(name)
    for short in load_short_studies(name):
        study = short_study(notebook, short)
        assert study.name == f"{name}.{short.name}"
        assert study.margin == short.margin
        assert short.aa or [answer for change in short.changes.values() for answer in change.answers]


def test_an_answer_to_nothing_that_was_concluded_is_refused(tmp_path: Path) -> None:
    notebook, file = load_notebook("label_refinery"), tmp_path / "short.yaml"
    file.write_text(SMALLEST)
    (study,) = read_short_studies(file, notebook)
    assert study.changes["none"].parsed == (ClaimAnswer(question="parts", trial="no-smoothing", reverse=True),)
    for text, told in (
        (SMALLEST.replace("no-smoothing", "no-smoothin"), "short.none: parts/no-smoothin"),
        (SMALLEST.replace("parts/no-smoothing", "parts/depth56"), "short.none: parts/depth56"),
        (SMALLEST.replace("name: short", "name: parts"), "parts"),
        (SMALLEST.replace("    factors:", "    arms: {a: {settings: x=1}}\n    factors:"), "factors or arms"),
        (SMALLEST.replace("margin: 1", "margin: 1\n    aa: true"), "factors or arms"),
        (SMALLEST.replace("margin: 1", "margin: -1"), "margin"),
        (SMALLEST.replace("studies:", "studies: ["), "YAML"),
    ):
        file.write_text(text)
        with pytest.raises(SettingsError) as caught:
            read_short_studies(file, notebook)
        assert told in f"{caught.value.must} {caught.value.found}"


def test_what_ships_as_found_is_about_conclusions_and_changes_that_exist() -> None:
    for study in shipped_findings().studies:
        notebook = load_notebook(study.notebook)
        short = {short_study_name(notebook, one): one for one in load_short_studies(study.notebook)}
        for claim in study.claims:
            question = notebook.question(claim.question)
            assert any(claim.trial in conclusion.claims for conclusion in question.conclusions)
            if study.scale == "short":
                answers = short[study.study].changes[claim.change].parsed
                assert ClaimAnswer(question=claim.question, trial=claim.trial, reverse=claim.reverse) in answers
        assert study.noise is None or study.noise.df >= 1
        assert study.command.startswith("ablata replicate run")


def test_findings_come_back_as_they_were_written(tmp_path: Path) -> None:
    found = shipped_findings()
    (tmp_path / "found.yaml").write_text(write_findings(found))
    assert read_findings(tmp_path / "found.yaml") == found


def a_study(name: str, scale: str, effect: float) -> RepeatedStudy:
    claim = {"question": "q", "trial": "t", "change": "c", "verdict": "better", "effect": effect, "low": effect - 1,
             "high": effect + 2, "seeds": 2}  # fmt: skip
    return RepeatedStudy.model_validate(
        {"study": name, "notebook": "label_refinery", "scale": scale, "setup": "s", "recipe": "r", "metric": "top1",
         "runs": 4, "rule": "claim", "date": "2026-01-01", "hardware": "h", "command": "c", "claims": (claim,)}
    )  # fmt: skip


def test_a_verdict_on_the_opposite_change_is_turned_round() -> None:
    claim = a_study("a", "short", 3.0).claims[0]
    turned = claim.turned()
    assert (turned.verdict, turned.effect, turned.low, turned.high) == ("worse", -3.0, -5.0, -2.0)
    assert turned.turned() == claim
    assert RepeatedClaim.model_validate(claim.model_dump() | {"verdict": "equivalent"}).turned().verdict == "equivalent"


def test_newer_studies_take_the_place_of_those_of_their_name_and_the_longest_training_is_believed() -> None:
    old = RepeatedFindings(studies=(a_study("a", "short", 1.0), a_study("b", "short", 2.0)))
    both = old.merged(RepeatedFindings(studies=(a_study("a", "short", 5.0), a_study("c", "small", 7.0))))
    assert [(study.study, study.claims[0].effect) for study in both.studies] == [("a", 5.0), ("b", 2.0), ("c", 7.0)]
    found = found_for(both.of_notebook("label_refinery"), "q", "t")
    assert found is not None
    assert found[0].study == "c"
    assert found_for(both.studies, "q", "other") is None
