"""A study that picks: two runs of each setting, then runs where they may change the choice; it claims nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from ablata.api.studies import as_pick
from ablata.base.errors import SettingsError
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.reports.collect import study_view
from ablata.reports.html import study_page
from ablata.reports.markdown import study_markdown
from ablata.reports.terminal import study_report
from ablata.studies.assess import assess
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.picking import PickValues, next_arms, refuse_small_budget
from ablata.studies.study import Study

End = Callable[..., None]
KEY = "val/plain/top1"


def test_runs_go_to_the_settings_that_may_be_best(
    ledger: Ledger, make_study: Callable[..., Study], end_run: End
) -> None:
    study = as_pick(make_study(), 15)
    assert (study.name, study.margin, study.spec()["pick"]) == ("asked-pick", None, True)
    create(ledger, study)
    environment = record_environment(ledger)
    columns = sorted(ledger.studies.arms(study.name), key=lambda arm: not arm.is_control)
    spec, true = ledger.studies.get(study.name).spec, {"control": 90.0, "wide": 93.0, "slow": 85.0}

    def cells() -> dict[tuple[str, int], RunRow]:
        return {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(study.name)}

    def wanted(beside: int = 1) -> list[tuple[str, int]]:
        runs = cells()
        values = PickValues.of(ledger, spec, list(runs.values()))
        return [(arm.name, seed) for arm, seed in next_arms(columns, runs, values, spec, 15, beside)]

    assert [arm for arm, _ in wanted()] == ["control", "wide", "slow"] * 2
    assert assess(ledger, study.name).choice is None
    while (more := wanted()) and len(cells()) < 15:
        for arm, seed in more:
            run = ledger.studies.enqueue(study.name, arm, new_run(ledger, study.recipes[arm], seed, environment))
            end_run(run, true[arm] + 0.8 * math.sin(3 * seed) + 0.5 * math.cos(7 * seed + len(arm)))
    counts = {arm: sum(name == arm for name, _ in cells()) for arm in true}
    assert sum(counts.values()) == 15
    assert counts["slow"] == 2
    assert wanted(beside=4) == []
    looked = assess(ledger, study.name)
    assert looked.rows == 15
    assert looked.choice is not None
    ledger.studies.add_look(study.name, looked.rows, looked.as_look())
    ledger.studies.finish(study.name)
    view = study_view(ledger, study.name)
    assert view.pick is not None
    assert view.pick.best == "wide"
    assert view.pick.probabilities["wide"] > 0.9
    assert all(arm.verdict is None for arm in view.arms)
    assert (view.progress.done, view.progress.planned) == (15, 15)
    page = study_page(view)
    for words in ("no claim that it is better", "expected regret", "a budget of 15 runs"):
        assert words in page
    assert "better by" not in page
    study_report(view, plain=True)


def test_a_setting_that_breaks_a_guardrail_gets_no_further_run_and_is_not_taken(
    ledger: Ledger, make_study: Callable[..., Study], end_run: End
) -> None:
    study = as_pick(make_study(guards=("val/plain/loss:+10%",)), 9)
    create(ledger, study)
    environment, spec = record_environment(ledger), ledger.studies.get(study.name).spec
    columns = sorted(ledger.studies.arms(study.name), key=lambda arm: not arm.is_control)
    for seed in range(2):
        for arm, score, loss in (("control", 90.0, 0.3), ("wide", 95.0, 0.6), ("slow", 92.0, 0.31)):
            run = ledger.studies.enqueue(study.name, arm, new_run(ledger, study.recipes[arm], seed, environment))
            end_run(run, score + 0.1 * math.cos(7 * seed + len(arm)), **{"val/plain/loss": loss + 0.001 * seed})
    cells = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(study.name)}
    values = PickValues.of(ledger, spec, list(cells.values()))
    assert "wide" not in {arm.name for arm, _ in next_arms(columns, cells, values, spec, 9, 3)}
    looked = assess(ledger, study.name)
    ledger.studies.add_look(study.name, looked.rows, looked.as_look())
    assert "**best**" in study_markdown(study_view(ledger, study.name))
    page = study_page(study_view(ledger, study.name))
    for words in ("Take <strong>slow</strong> so far", "of keeping each: loss +10% over 99%", "keep them: wide."):
        assert words in page, page[page.find("Take ") :][:600]


def test_budgets_and_what_claims_are_refused(make_study: Callable[..., Study], ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="2 runs of the control and of every arm"):
        as_pick(make_study(), 6, ledger=ledger)
    with pytest.raises(SettingsError, match=r"--budget 6s or more, for 9 runs"):
        refuse_small_budget("a", 1, 3, seconds=0.6)
    with pytest.raises(SettingsError, match="has no margin"):
        make_study(pick=True, seeds=20, margin=1.0)
