"""A study that ended undecided goes on with more seeds; the same question is found again under any name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ablata.base.errors import RecordError, SettingsError
from ablata.records import Ledger
from ablata.records.moving.exporting import StudyFile, export_study
from ablata.records.moving.importing import import_study
from ablata.records.questions.account import account_of
from ablata.stats import Calibration, Mode, Rule, Verdict, calibrate, rules_of
from ablata.stats.versions import Procedure
from ablata.studies.assess import assess
from ablata.studies.extending import extend
from ablata.studies.identity import new_run, record_environment
from ablata.studies.imported import check_study
from ablata.studies.launch import create
from ablata.studies.planning.known_before import known_sentences
from ablata.studies.planning.plan import plan_study, with_history
from ablata.studies.study import Study

Record = Callable[..., Study]
End = Callable[..., None]


@pytest.fixture(autouse=True)
def quick_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds from few simulated studies: these tests are about what goes on, not about rates."""

    def rough(ledger: Ledger, arms: int, rule: Rule, judge: Procedure) -> Calibration:
        return calibrate(arms, rule, studies=500)

    monkeypatch.setattr("ablata.studies.assess.cached_calibration", rough)


SCORES = {
    "control": [90.0, 90.4, 89.7, 90.2, 89.9, 90.1, 90.3, 89.8, 90.0, 90.2],
    "wide": [95.0, 95.5, 94.6, 95.3, 94.9, 95.0, 95.4, 94.7, 95.1, 95.1],
    "slow": [90.7, 90.2, 89.9, 91.0, 89.5, 90.9, 91.1, 90.2, 90.9, 90.8],
}


def finish(ledger: Ledger, study: Study, end: End, rows: Mapping[str, range]) -> None:
    """End runs with their scores, record the look and close the study, as the runner does."""
    for arm, places in rows.items():
        for row in places:
            new = new_run(ledger, study.recipes[arm], study.seed_row(row), record_environment(ledger))
            if (run := ledger.studies.enqueue(study.name, arm, new)).state == "waiting":
                end(run, SCORES[arm][row])
    found = assess(ledger, study.name)
    ledger.studies.add_look(study.name, found.rows, found.as_look())
    ledger.studies.finish(study.name)


def all_rows(count: int) -> dict[str, range]:
    return dict.fromkeys(SCORES, range(count))


def test_undecided_arms_go_on_and_decided_ones_stay(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(margin=0.3, futility=False, extendable=True)
    finish(ledger, study, end_run, all_rows(5))
    before = assess(ledger, study.name).outcomes()
    assert (before["wide"].verdict, before["slow"].verdict) == (Verdict.BETTER, Verdict.UNDECIDED)
    rule = extend(ledger, study.name, 10)
    assert (rule.seeds, round(rule.alpha, 4)) == (10, 0.01)
    assert {arm.name: arm.state for arm in ledger.studies.arms(study.name)}["slow"] == "open"
    going_on = assess(ledger, study.name)
    assert (going_on.rows, going_on.outcomes()["slow"].open, going_on.outcomes()["wide"]) == (5, True, before["wide"])
    finish(ledger, study, end_run, {"control": range(5, 10), "slow": range(5, 10)})
    after = assess(ledger, study.name)
    assert (after.rows, after.outcomes()["wide"], after.outcomes()["slow"].seeds) == (10, before["wide"], 10)
    assert "exploratory" not in ledger.studies.get(study.name).spec
    create(ledger, study)  # its first command still means it


def test_an_arm_that_stopped_early_runs_the_seeds_it_missed(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(margin=0.1, extendable=True)
    rows = {"control": range(3), "wide": range(3), "slow": range(3)}
    finish(ledger, study, end_run, rows)
    stopped = assess(ledger, study.name).outcomes()["slow"]
    assert (stopped.verdict, stopped.open) == (Verdict.UNDECIDED, False)
    extend(ledger, study.name, 14)
    assert assess(ledger, study.name).outcomes()["slow"].open


def test_arms_that_are_added_are_judged_beside_the_controls_runs_at_their_waves_part_of_the_rate(
    ledger: Ledger, recorded: Record, end_run: End, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = recorded(margin=0.3, futility=False, extendable=True)
    finish(ledger, study, end_run, all_rows(5))
    before = assess(ledger, study.name).outcomes()
    rule = extend(ledger, study.name, arms={"deep": ("model.width=9",)})
    assert (rule.seeds, round(rule.alpha, 4)) == (5, 0.01)
    going_on = assess(ledger, study.name)
    assert (going_on.rows, going_on.arms) == (0, ("wide", "slow", "deep"))
    monkeypatch.setitem(SCORES, "deep", SCORES["wide"])
    larger = replace(study, arms={**study.arms, "deep": ("model.width=9",)})
    finish(ledger, larger, end_run, {"control": range(5), "deep": range(5)})
    after = assess(ledger, study.name).outcomes()
    assert {name: after[name] for name in before} == before
    assert (after["deep"].verdict, after["deep"].open) == (Verdict.BETTER, False)
    create(ledger, study)  # its first command still means it
    rule = extend(ledger, study.name, 10)
    assert round(rule.alpha, 4) == 0.03
    assert [arm for arm, end in assess(ledger, study.name).outcomes().items() if end.open] == ["slow"]
    export_study(ledger, study.name, tmp_path / "grown.ablata")
    with Ledger(home=tmp_path / "other") as there:
        import_study(there, tmp_path / "grown.ablata", check=check_study)
        assert assess(there, study.name).outcomes() == assess(ledger, study.name).outcomes()


def test_an_added_arm_that_is_there_or_of_a_study_that_spent_its_rate_is_told(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    study = recorded(margin=0.3, futility=False)
    finish(ledger, study, end_run, all_rows(5))
    for arms, words in (
        ({"broad": ("model.width=6",)}, "broad, equal to wide"),
        ({"wide": ("model.width=9",)}, "an arm wide, which asked has"),
        ({"odd": ("model.wide=9",)}, "width"),
    ):
        with pytest.raises(SettingsError, match=words):
            extend(ledger, study.name, arms=arms)
    extend(ledger, study.name, arms={"deep": ("model.width=9",)})
    assert list(ledger.studies.get(study.name).spec["exploratory"]) == ["deep"]


def test_a_study_that_spent_its_rate_is_exploratory_once_extended(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    study = recorded(margin=0.3, futility=False)
    finish(ledger, study, end_run, all_rows(5))
    extend(ledger, study.name, 10)
    spec = ledger.studies.get(study.name).spec
    assert [rule.alpha for rule in rules_of(spec)] == [0.05, 0.05]
    assert list(spec["exploratory"]) == ["slow"]


def test_what_cannot_be_extended_is_told(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(futility=False)
    with pytest.raises(RecordError, match="must have ended"):
        extend(ledger, study.name, 10)
    finish(ledger, study, end_run, all_rows(5))
    with pytest.raises(SettingsError, match="--seeds 5, and study asked has 5"):
        extend(ledger, study.name, 5)
    with pytest.raises(SettingsError, match="makes claims"):
        recorded(name="quick", extendable=True, mode=Mode.SCREEN)


def test_the_same_question_is_found_under_another_name_margin_and_choice_of_arms(
    ledger: Ledger, recorded: Record, make_study: Record, end_run: End
) -> None:
    study = recorded(margin=0.3, futility=False, extendable=True)
    finish(ledger, study, end_run, all_rows(5))
    again = make_study(name="again", margin=2.0, seeds=8, arms={"lazy": ("optim.lr=0.01",), "new": ("model.width=8",)})
    assert known_sentences(ledger, again)[1:] == (
        "lazy would be exploratory, no claim: 5 of 8 seeds of it and the control had run before this was asked",
        "a claim within the same 5%: ablata study extend asked --seeds 8",
    )
    create(ledger, again)
    spec = ledger.studies.get("again").spec
    assert (spec["seen"], list(spec["exploratory"])) == ({"control": 5, "lazy": 5}, ["lazy"])
    (known,) = spec["judged_before"]
    assert (known["study"], known["alias"], known["arm"], known["verdict"]) == ("asked", "slow", "lazy", "undecided")
    fresh = recorded(name="fresh", first_seed=5)
    kept = ledger.studies.get("fresh").spec
    assert "exploratory" not in kept
    assert len(kept["judged_before"]) == 2
    assert [one.study for one in account_of(ledger, fresh.new_arms(), fresh.judged.key, without="fresh")] == [
        "asked"
    ] * 2


def test_an_extended_study_is_imported_with_its_waves_and_one_with_impossible_waves_is_refused(
    ledger: Ledger, recorded: Record, end_run: End, tmp_path: Path
) -> None:
    study = recorded(margin=0.3, futility=False)
    finish(ledger, study, end_run, all_rows(5))
    extend(ledger, study.name, 8)
    finish(ledger, study, end_run, {"control": range(5, 8), "slow": range(5, 8)})
    ends = {name: end.verdict for name, end in assess(ledger, study.name).outcomes().items()}
    export_study(ledger, study.name, tmp_path / "asked.ablata")
    with Ledger(home=tmp_path / "there") as there:
        import_study(there, tmp_path / "asked.ablata", check=check_study)
        assert there.studies.get(study.name).spec == ledger.studies.get(study.name).spec
        assert {name: end.verdict for name, end in assess(there, study.name).outcomes().items()} == ends
    for waves in ([5, 5], [8, 5], [5, 9], ["x"], 7):
        spec = ledger.studies.get(study.name).spec | {"waves": waves}
        file = StudyFile(study=replace(ledger.studies.get(study.name), spec=spec), arms=[], cells=[], looks=[])
        with pytest.raises(RecordError, match="must say how it is judged"):
            check_study(file)


def test_runs_that_a_study_shares_are_no_noise_history_of_it(
    ledger: Ledger, recorded: Record, make_study: Record, end_run: End
) -> None:
    study = recorded(futility=False)
    finish(ledger, study, end_run, all_rows(5))
    assert with_history(ledger, make_study(name="again")).history is None
    known = with_history(ledger, make_study(name="partly", first_seed=3)).history
    whole = with_history(ledger, make_study(name="fresh", first_seed=5)).history
    assert (known.df, whole.df) == (4, 8)


def test_a_plan_says_what_is_known_of_its_question(
    ledger: Ledger, recorded: Record, make_study: Record, end_run: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded(futility=False, extendable=True)
    finish(ledger, study, end_run, all_rows(5))
    monkeypatch.setattr(
        "ablata.studies.planning.plan.cached_calibration", lambda *asked: calibrate(2, asked[2], studies=500)
    )
    monkeypatch.setattr("ablata.studies.planning.plan.needs_of", lambda *asked: ())
    told = str(plan_study(ledger, with_history(ledger, make_study(name="again", seeds=8, first_seed=3)), 1))
    assert "history  0.28 points (4 degrees of freedom) would count by 31%: the control's own runs vary more" in told
    assert "pairing  equal seeds save runs, in an earlier study" in told
    assert "known    wide was judged in asked: better after 3 seeds" in told
    assert "wide, slow would be exploratory, no claim: 2 of 8 seeds of it and the control had run" in told
