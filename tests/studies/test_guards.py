"""Guardrails as they are typed, and one verdict for the metric and for them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from ablata.base.errors import SettingsError
from ablata.engine.recipe import Recipe
from ablata.records import Ledger
from ablata.reports.collect import study_view
from ablata.reports.html import study_page
from ablata.reports.words import verdict_words
from ablata.studies.asking.naming import guarded
from ablata.studies.assess import assess
from ablata.studies.guards import parse_guard
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.study import Study
from ablata.trainers.command import Command

LOSS = "val/plain/loss"


def test_guardrails_are_read_and_wrong_ones_told(quick: Recipe) -> None:
    seconds = parse_guard(quick, "seconds:+3%")
    assert (seconds.metric.key, seconds.allowed, seconds.percent) == ("cost/seconds", 3.0, True)
    assert parse_guard(quick, "memory:5%").metric.key == "cost/peak_memory"
    loss = parse_guard(quick, f"{LOSS}:+0.01")
    assert (loss.metric.key, loss.allowed, loss.percent) == (LOSS, 0.01, False)
    program = Command.of("python t.py {seed}", scores=["acc", "latency"])
    assert not parse_guard(program, "latency:+3%").metric.higher_is_better
    assert parse_guard(program, "recall:-0.5").metric.higher_is_better
    for text, words in (
        ("seconds:-3%", "lower seconds is better"),
        ("seconds", "by how much"),
        ("seconds:0%", "above 0"),
        ("seconds:fast", "by how much"),
        ("nothing/of:+3%", "one that a run"),
    ):
        with pytest.raises(SettingsError, match=words):
            parse_guard(quick, text)


def test_a_verdict_says_both(ledger: Ledger, make_study: Callable[..., Study], end_run: Callable[..., None]) -> None:
    study = make_study(seeds=5, margin=None, guards=(f"{LOSS}:+10%",))
    assert study.rule().first_look == 3
    create(ledger, study)
    environment = record_environment(ledger)
    said, ended = [], []
    for row in range(4):
        for arm, gain, loss in (("control", 0.0, 0.3), ("wide", 5.0, 0.312), ("slow", 5.0, 0.6)):
            if arm in ended:
                continue
            new = new_run(ledger, study.recipes[arm], study.seed_row(row), environment)
            wiggle = math.sin(5 * row + len(arm))
            run = ledger.studies.enqueue(study.name, arm, new)
            end_run(run, 90 + gain + 0.1 * wiggle, **{LOSS: loss + 0.004 * wiggle})
        looked = assess(ledger, study.name)
        ledger.studies.add_look(study.name, looked.rows, looked.as_look())
        ended = [name for name, outcome in looked.outcomes().items() if not outcome.open]
        said.append({arm.name: verdict_words(arm, "claim") for arm in study_view(ledger, study.name).treatments})
    assert said[2] == {"wide": "better, its guardrails not answered yet", "slow": "better, but loss beyond +10%"}
    assert said[3] == {"wide": "better, and loss within +10%", "slow": "better, but loss beyond +10%"}
    assert ended == ["wide", "slow"]
    ledger.studies.finish(study.name)
    view = study_view(ledger, study.name)
    assert [arm.done for arm in view.treatments] == [4, 3]
    page = study_page(view)
    assert "Guardrails" in page
    assert "allowed +10%: broken" in page


def test_guardrails_beside_other_designs_or_on_the_metric_are_refused(make_study: Callable[..., Study]) -> None:
    with pytest.raises(SettingsError, match="and not for those"):
        make_study(guards=("seconds:+3%",), extendable=True)
    with pytest.raises(SettingsError, match="not of the metric"):
        make_study(guards=("val/plain/top1:-1",))


def test_a_name_that_is_made_up_tells_guardrails_apart(make_study: Callable[..., Study]) -> None:
    study = make_study(name="digits-1a2b3c")
    one, two = (guarded(study, (f"seconds:+{percent}%",), named=False) for percent in (3, 5))
    assert one.name != two.name
    assert one.name.startswith("digits-1a2b3c-guarded-")
    assert guarded(study, ("seconds:+3%",), named=True).name == "digits-1a2b3c"
