"""`ablata replicate` as a user types it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.base.settings import expand, settings_hash
from ablata.cli.studies import replication_views
from ablata.notebooks.findings import RepeatedFindings, read_findings
from ablata.notebooks.notebook import load_notebook
from ablata.notebooks.studies import study_of
from ablata.records import Ledger, NewRun
from ablata.reports.replications.markdown import replications_markdown
from ablata.studies.assess import assess

Ablata = Callable[..., Any]


@pytest.mark.slow
def test_every_trial_of_every_notebook_can_be_run(ablata: Ablata) -> None:
    listed = json.loads(ablata("replicate", "list", "--json").out)
    assert "label_refinery" in listed
    assert not [reason for studies in listed.values() for study in studies for reason in study["refused"]]
    assert listed["label_refinery"][6]["nominal"] == []
    told = ablata("replicate", "list").out
    assert "181 trials, 179 can be run, 2 nominal" in told
    assert "crop.opencv  resize by OpenCV  [line 102]" in told


def test_a_study_is_shown_with_lines_settings_and_conclusions(ablata: Ablata) -> None:
    shown = ablata("replicate", "show", "label_refinery", "--study", "warmup").out
    assert "schedule.warmup.length=5" in shown
    assert "87.75 (-0.21)  5 epochs  [line 75]" in shown
    assert "concluded (line 77)" in shown


def test_a_study_is_built_and_stepped_on_generated_images(ablata: Ablata) -> None:
    answer = ablata("replicate", "run", "label_refinery", "--study", "order", "--scale", "smoke")
    assert (answer.status, answer.out) == (0, "order: 2 of 2 trials built and stepped\n"), answer.err


def test_wrong_names_are_refused_with_those_there_are(ablata: Ablata) -> None:
    for words, told in (
        (("show", "nothing"), "label_refinery"),
        (("show", "label_refinery", "--study", "warmups"), "warmup"),
        (("run", "label_refinery", "--scale", "short", "--study", "warmup"), "factors"),
        (("run", "label_refinery", "--scale", "short", "--set", "train.steps=1"), "--set train.steps=1"),
        (("report", "--notebook", "bisenets"), "bisenet"),
        (("collect", "--output", str(Path(__file__))), ".yaml"),
        (("run", "label_refinery", "--scale", "huge"), "smoke, short, small, full"),
    ):
        answer = ablata("replicate", *words)
        assert answer.status == 2
        assert told in answer.err


def test_the_report_is_one_page(ablata: Ablata, tmp_path: Path) -> None:
    assert ablata("replicate", "report", "--output", str(tmp_path / "r.html")).status == 0
    page = (tmp_path / "r.html").read_text()
    assert "what one run a side can show" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def run_by_hand(home: Path, scores: dict[str, list[float]]) -> None:
    """Put the small study of the warm-up into the ledger with these scores, as if its runs had been trained."""
    notebook = load_notebook("label_refinery")
    made = study_of(notebook, notebook.question("warmup"), "small")
    with Ledger(home=home) as ledger:
        ledger.studies.create(made.name, made.question, made.spec(), made.new_arms())
        for arm, values in scores.items():
            recipe = made.recipes[arm]
            for seed, score in enumerate(values):
                new = NewRun(
                    recipe_name=recipe.name, recipe=expand(recipe), recipe_hash=settings_hash(recipe), code="c" * 32,
                    data="d" * 32, seed=seed, environment="e",
                )  # fmt: skip
                run = ledger.studies.enqueue(made.name, arm, new)
                claim = ledger.leases.claim_run(run.id, "tester:0", 60)
                found = {made.judged.key: score}
                ledger.leases.finish(run.id, claim.attempt, "completed", scores=found, cost={"seconds": 2.0})
        assessment = assess(ledger, made.name)
        ledger.studies.add_look(made.name, assessment.rows, assessment.as_look())


def test_our_runs_give_the_noise_and_the_verdicts_of_the_report(
    ablata: Ablata, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication_views, "shipped_findings", RepeatedFindings)
    run_by_hand(
        home,
        {
            "control": [65.0, 65.4, 64.8, 65.2],
            "warmup1": [60.0, 60.2, 59.9, 60.3],
            "warmup2": [65.1, 65.2, 65.0, 65.2],
            "warmup5": [65.1, 65.3, 65.0, 65.1],
        },
    )
    answer = ablata("replicate", "report", "--output", str(tmp_path / "r.html"))
    page = (tmp_path / "r.html").read_text()
    assert "16 runs of 4 epochs of our own (study label_refinery.warmup)" in page
    assert "; contradicted</small>" in page
    assert "rest on a difference that two equal trainings show by chance" in page
    assert "repeated 3 at a small scale" in answer.err.replace("\n", " ")

    assert ablata("replicate", "collect", "--output", str(tmp_path / "found.yaml")).status == 0
    (study,) = [one for one in read_findings(tmp_path / "found.yaml").studies if one.study == "label_refinery.warmup"]
    assert (study.runs, study.scale, study.date) == (16, "small", time.strftime("%Y-%m-%d", time.gmtime()))
    assert [(claim.trial, claim.verdict) for claim in study.claims] == [
        ("warmup1", "worse"), ("warmup2", "equivalent"), ("warmup5", "equivalent")
    ]  # fmt: skip
    assert study.noise is not None
    assert 0 < study.noise.sd < 0.5

    page = ("replicate", "report", "--notebook", "label_refinery", "--output", str(tmp_path / "r.md"))
    assert ablata(*page).status == 0
    text = (tmp_path / "r.md").read_text()
    assert "| worse (contradicted) |" in text
    assert "| label_refinery.warmup |" in text


def test_the_pages_of_the_docs_are_those_of_the_file_that_ships(home: Path) -> None:
    """After a change: `sh benchmarks/collect_notebooks.sh`."""
    with Ledger(home=home) as ledger:
        views = replication_views.replication_views(ledger)
    for view in views:
        page = Path(__file__).parents[3] / "docs" / "results" / f"notebook_{view.name}.md"
        assert page.read_text(encoding="utf-8") == replications_markdown([view]), f"write {page.name} anew"
