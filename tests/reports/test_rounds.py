"""Chains of rounds in a report: means, differences at the same seed, and the same words in every form."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ablata.records import Ledger, NewArm, NewRun
from ablata.reports.collect import study_view
from ablata.reports.html import study_page
from ablata.reports.markdown import study_markdown
from ablata.reports.rounds import round_views
from ablata.reports.terminal import study_report
from ablata.reports.view import StudyView
from ablata.stats import Rule

KEY = "val/plain/top1"
CONTROL, FIRST, SECOND = (90.0, 91.0, 92.0), (91.0, 91.5, 92.0), (90.0, 89.5, 91.5)


def new_run(arm: str, seed: int, parent: str | None) -> NewRun:
    return NewRun(recipe_name="digits", recipe={"name": arm}, recipe_hash=f"hash-{arm}", code="c", data="d", seed=seed,
                  environment="e", parent=parent)  # fmt: skip


def finish(ledger: Ledger, run: str, score: float) -> str:
    claim = ledger.leases.claim_run(run, "worker", 60)
    ledger.leases.finish(run, claim.attempt, "completed", scores={KEY: score}, cost={"seconds": 1.0})
    return run


@pytest.fixture
def view(tmp_path: Path) -> StudyView:
    """A study whose arm `taught` is two rounds above the control; the round between fills no cell."""
    names = ("control", "taught")
    arms = [
        NewArm(name=name, recipe_name="digits", recipe={"name": name}, recipe_hash=f"hash-{name}",
               is_control=name == "control") for name in names
    ]  # fmt: skip
    metric = {"key": KEY, "name": "top1", "split": "val", "protocol": "plain", "unit": "%", "higher_is_better": True}
    with Ledger(home=tmp_path / "home") as ledger:
        ledger.studies.create("asked", "?", {"metric": metric, "rule": Rule(margin=0.5, seeds=3).to_json()}, arms)
        for seed, scores in enumerate(zip(CONTROL, FIRST, SECOND, strict=True)):
            parent = ledger.studies.enqueue("asked", "control", new_run("control", seed, None)).id
            finish(ledger, parent, scores[0])
            middle = finish(ledger, ledger.runs.enqueue(new_run("middle", seed, parent)).id, scores[1])
            last = ledger.studies.enqueue("asked", "taught", new_run("taught", seed, middle))
            finish(ledger, last.id, scores[2])
        return study_view(ledger, "asked")


def test_every_round_stands_beside_its_teacher_at_the_same_seed(view: StudyView) -> None:
    assert [(one.arm, one.number, one.seeds) for one in view.rounds] == [("taught", number, 3) for number in range(3)]
    assert [one.mean.value for one in view.rounds] == pytest.approx([91.0, 91.5, 90.33], abs=0.01)
    gains = [one.gain.value if one.gain else None for one in view.rounds]
    assert gains[0] is None
    assert gains[1:] == pytest.approx([0.5, -7 / 6])
    assert [one.worse for one in view.rounds] == [False, False, True]


def test_a_study_without_chains_has_no_rounds(view: StudyView) -> None:
    plain = replace(view, rounds=())
    assert "Rounds" not in study_page(plain)
    assert "Each round" not in study_markdown(plain)


@pytest.mark.parametrize("plain", [True, False])
def test_every_form_of_the_report_shows_the_rounds(view: StudyView, plain: bool) -> None:
    console = Console(file=StringIO(), width=120)
    console.print(study_report(view, plain=plain))
    terminal = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (terminal, study_markdown(view), study_page(view)):
        assert "0, the first" in text
        assert "1.17" in text
    assert "it is no verdict" in study_page(view)


def test_a_teacher_is_compared_on_the_rounds_own_images_where_they_are_others(tmp_path: Path) -> None:
    with Ledger(home=tmp_path / "home") as ledger:
        teacher = finish(ledger, ledger.runs.enqueue(new_run("source", 0, None)).id, 90.0)
        student = ledger.runs.enqueue(new_run("target", 0, teacher))
        claim = ledger.leases.claim_run(student.id, "worker", 60)
        scores = {KEY: 60.0, "val/plain/teacher_top1": 55.0}
        ledger.leases.finish(student.id, claim.attempt, "completed", scores=scores)
        runs = [ledger.runs.get(one) for one in (student.id, teacher)]
    rounds = round_views({"moved": runs[:1]}, runs, KEY, higher_is_better=True)
    assert [one.gain.value if one.gain else None for one in rounds] == [None, 5.0]
