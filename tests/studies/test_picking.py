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
from ablata.reports.terminal import study_report
from ablata.studies.assess import assess
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.picking import next_arms
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
        values = {run.id: (run.scores or {})[KEY] for run in runs.values() if run.state == "completed"}
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


def test_budgets_and_what_claims_are_refused(make_study: Callable[..., Study], ledger: Ledger) -> None:
    with pytest.raises(SettingsError, match="2 runs of the control and of every arm"):
        as_pick(make_study(), 6, ledger=ledger)
    with pytest.raises(SettingsError, match="has no margin"):
        make_study(pick=True, seeds=20, margin=1.0)
