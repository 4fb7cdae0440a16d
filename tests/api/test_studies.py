from __future__ import annotations

import json
from pathlib import Path

import pytest

import ablata
from ablata.base.errors import RecordError, SettingsError


@pytest.fixture
def asked(quick: ablata.Recipe) -> ablata.Study:
    """A study that two seconds of training answer."""
    return ablata.Study(
        name="asked", question="Is <b>wider</b> better?", control=quick, arms={"wide": {"model.width": 6}},
        margin=1.0, seeds=2, first_look=2,
    )  # fmt: skip


@pytest.mark.slow
def test_a_study_is_planned_run_read_reported_and_carried_away(asked: ablata.Study, tmp_path: Path) -> None:
    plan = ablata.plan_study(asked, workers=1)
    assert (plan.runs, plan.workers) == (4, 1)
    assert "at most 4: 2 recipes, 2 seeds each" in str(plan)
    assert plan.to_json()["arms"] == {"wide": ["model.width=6"]}

    done = ablata.run_study(asked, workers=1)
    assert done.state == "finished"
    assert done.verdicts.keys() == {"wide"}
    control, wide = done.to_rows()
    assert (control["arm"], control["effect"], wide["arm"], wide["seeds"]) == ("control", None, "wide", 2)
    assert wide["low"] < wide["effect"] < wide["high"]
    assert wide["effect"] == pytest.approx(wide["mean"] - control["mean"])
    assert len(done.runs()) == 4

    again = ablata.study("asked")
    assert again.view == done.view
    assert ablata.run_study("asked").view == done.view

    assert json.loads(done.report(tmp_path / "asked.json").read_text())["name"] == "asked"
    assert done.report(tmp_path / "asked.md").read_text().startswith("# ")
    assert ablata.report("asked", tmp_path / "page").read_text().startswith("<!doctype html>")
    with pytest.raises(SettingsError, match="terminal, markdown, html, json"):
        done.report(tmp_path / "asked.pdf", "pdf")

    assert ablata.lab.export_study("asked", tmp_path / "asked.ablata").runs == 4
    with ablata.Ledger(home=tmp_path / "other") as other:
        assert ablata.lab.import_study(tmp_path / "asked.ablata", ledger=other).taken == 4
        assert ablata.study("asked", ledger=other).verdicts == done.verdicts


def test_what_a_study_shows_is_escaped_and_says_its_answer(asked: ablata.Study) -> None:
    with ablata.Ledger() as ledger:
        from ablata.studies.launch import create

        create(ledger, asked)
    shown = ablata.study("asked")
    assert "<b>wider" not in shown._repr_html_()
    assert "&lt;b&gt;wider" in shown._repr_html_()
    assert shown.answer in repr(shown)
    assert shown.verdicts == {"wide": None}


def test_a_study_that_is_not_there_is_told() -> None:
    with pytest.raises(RecordError):
        ablata.study("nothing")
    with pytest.raises(SettingsError, match="did you mean quickstart"):
        ablata.run_study("quikstart")
