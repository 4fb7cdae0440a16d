from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ablata.base.errors import RecordError
from ablata.records import Ledger
from ablata.stats import RULE_VERSION, Verdict, calibrate, replay
from ablata.stats.versions import PROCEDURES
from ablata.studies.assess import assess
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import create
from ablata.studies.study import Study

Record = Callable[..., Study]
End = Callable[..., None]
Cell = tuple[str, int]

CLEAR = {
    "control": [90.0, 90.2, 89.9, 90.1, 90.0],
    "wide": [95.0, 95.1, 94.9, 95.2, 95.0],
    "slow": [90.1, 90.1, 90.0, 90.0, 90.1],
}


def fill(ledger: Ledger, study: Study, cells: list[Cell], end: End, scores: dict[str, list[float | None]]) -> None:
    """Enqueue the cells and end their runs, in this order."""
    environment = record_environment(ledger)
    for arm, row in cells:
        new = new_run(ledger, study.recipes[arm], study.seed_row(row), environment)
        end(ledger.studies.enqueue(study.name, arm, new), scores[arm][row])


def all_cells(scores: dict[str, list[float | None]]) -> list[Cell]:
    return [(arm, row) for row in range(len(scores["control"])) for arm in scores]


def test_the_verdicts_are_those_of_the_rule_on_the_table(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(futility=False)
    fill(ledger, study, all_cells(CLEAR), end_run, CLEAR)
    table = np.array([CLEAR["control"], CLEAR["wide"], CLEAR["slow"]]).T
    expected = replay(table, study.rule(), calibrate(2, study.rule()))
    found = assess(ledger, study.name)
    assert found.replay == expected
    assert found.arms == ("wide", "slow")
    assert {name: outcome.verdict for name, outcome in found.outcomes().items()} == {
        "wide": Verdict.BETTER,
        "slow": Verdict.EQUIVALENT,
    }


def test_the_order_in_which_runs_end_does_not_matter(ledger: Ledger, recorded: Record, end_run: End) -> None:
    cells = all_cells(CLEAR)
    looks = []
    for seed, name in enumerate("abc"):
        study = recorded(name=name, first_seed=100 * seed)
        random.Random(seed).shuffle(cells)
        fill(ledger, study, cells, end_run, CLEAR)
        looks.append(assess(ledger, name).as_look())
    assert looks[0] == looks[1] == looks[2]


def test_a_row_counts_only_when_it_is_whole(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded()
    rows = []
    for count in range(1, 10):
        fill(ledger, study, [all_cells(CLEAR)[count - 1]], end_run, CLEAR)
        rows.append(assess(ledger, study.name).rows)
    assert rows == [0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_a_later_row_does_not_count_before_an_earlier_one(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded()
    fill(ledger, study, all_cells(CLEAR)[3:], end_run, CLEAR)
    assert assess(ledger, study.name).rows == 0
    assert assess(ledger, study.name).outcomes() == {}


def test_a_running_run_leaves_its_row_open(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded()
    fill(ledger, study, all_cells(CLEAR)[:2], end_run, CLEAR)
    new = new_run(ledger, study.recipes["slow"], 0, record_environment(ledger))
    run = ledger.studies.enqueue(study.name, "slow", new)
    ledger.leases.claim_run(run.id, "somebody", 60)
    assert assess(ledger, study.name).rows == 0


def test_a_closed_arm_stays_closed_though_later_runs_of_it_exist(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    scores = CLEAR | {"slow": [89.0, 92.0, 90.0, 91.0, 88.0]}
    study = recorded(futility=False)
    fill(ledger, study, all_cells(scores)[:9], end_run, scores)
    before = assess(ledger, study.name).outcomes()["wide"]
    assert (before.verdict, before.open, before.seeds) == (Verdict.BETTER, False, 3)
    # Runs of the closed arm at later seeds, as another study may have made them, with scores that would undo it.
    scores = scores | {"wide": [*scores["wide"][:3], 60.0, 60.0]}
    fill(ledger, study, all_cells(scores)[9:], end_run, scores)
    after = assess(ledger, study.name)
    assert after.rows == 5
    assert after.outcomes()["wide"] == before


def test_a_row_is_whole_without_the_arms_that_are_closed(ledger: Ledger, recorded: Record, end_run: End) -> None:
    scores = CLEAR | {"slow": [89.0, 92.0, 90.0, 91.0, 88.0]}
    study = recorded(futility=False)
    fill(ledger, study, all_cells(scores)[:9], end_run, scores)
    fill(ledger, study, [("control", 3), ("slow", 3)], end_run, scores)
    assert assess(ledger, study.name).rows == 4


def test_pairs_of_different_machines_are_told(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(futility=False)
    cells = all_cells(CLEAR)
    fill(ledger, study, [cell for cell in cells if cell != ("wide", 1)], end_run, CLEAR)
    elsewhere = new_run(ledger, study.recipes["wide"], 1, "another class")
    end_run(ledger.studies.enqueue(study.name, "wide", elsewhere), CLEAR["wide"][1])
    looks = assess(ledger, study.name).replay
    assert looks is not None
    paired = {(look.seeds, arm.arm): arm.paired for look in looks.looks for arm in look.arms}
    assert paired[1, 1]
    assert not paired[2, 1]
    assert paired[2, 2]


@pytest.mark.parametrize("lost", ["control", "wide"])
def test_a_diverged_run_counts_and_is_named(ledger: Ledger, recorded: Record, end_run: End, lost: str) -> None:
    scores = CLEAR | {lost: [*CLEAR[lost][:1], None, *CLEAR[lost][2:]]}
    study = recorded(futility=False)
    fill(ledger, study, all_cells(scores), end_run, scores)
    outcome = assess(ledger, study.name).outcomes()["wide"]
    divergence = outcome.last.divergence
    assert (divergence.control, divergence.arm) == ((1, 0) if lost == "control" else (0, 1))
    assert outcome.last.pairs == outcome.seeds - 1
    assert any("diverged" in note for note in outcome.last.notes)


def test_an_arm_that_diverges_at_two_seeds_is_unstable(ledger: Ledger, recorded: Record, end_run: End) -> None:
    scores = CLEAR | {"wide": [None, None, 95.0, 95.0, 95.0]}
    study = recorded()
    fill(ledger, study, all_cells(scores), end_run, scores)
    outcome = assess(ledger, study.name).outcomes()["wide"]
    assert outcome.verdict is Verdict.UNSTABLE
    assert "diverged" in outcome.reason


def test_a_score_that_is_missing_or_not_finite_counts_as_diverged(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    study = recorded()
    scores = CLEAR | {"wide": [float("nan"), float("inf"), 95.0, 95.0, 95.0]}
    fill(ledger, study, all_cells(scores), end_run, scores)
    assert assess(ledger, study.name).outcomes()["wide"].verdict is Verdict.UNSTABLE


def test_fewer_seeds_than_the_first_look_decide_nothing(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(seeds=2)
    fill(ledger, study, all_cells(CLEAR)[:6], end_run, CLEAR)
    found = assess(ledger, study.name)
    assert found.rows == 2
    assert {outcome.verdict for outcome in found.outcomes().values()} == {Verdict.UNDECIDED}


def test_seeds_may_start_anywhere(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded(first_seed=70)
    fill(ledger, study, all_cells(CLEAR), end_run, CLEAR)
    assert {cell.seed for cell in ledger.studies.cells(study.name)} == set(range(70, 75))
    assert assess(ledger, study.name).outcomes()["wide"].verdict is Verdict.BETTER


def test_the_calibration_is_simulated_once_for_a_ledger(
    ledger: Ledger, recorded: Record, end_run: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded()
    first = assess(ledger, study.name)
    simulates = replace(PROCEDURES[RULE_VERSION], calibrate=lambda *arguments: pytest.fail("simulated again"))
    monkeypatch.setattr("ablata.stats.versions.PROCEDURES", {RULE_VERSION: simulates})
    assert assess(ledger, study.name) == first


def test_every_shuffle_of_a_small_study_gives_one_result(ledger: Ledger, recorded: Record, end_run: End) -> None:
    arms = {"wide": ("model.width=6",)}
    scores = {name: CLEAR[name][:2] for name in ("control", "wide")}
    results = []
    for number, cells in enumerate(itertools.permutations(all_cells(scores))):
        study = recorded(name=f"s{number}", arms=arms, seeds=2, first_seed=10 * number)
        fill(ledger, study, list(cells), end_run, scores)
        results.append(assess(ledger, study.name).as_look())
    assert all(result == results[0] for result in results)


def test_a_recorded_study_keeps_its_rule_version(ledger: Ledger, recorded: Record, make_study: Record) -> None:
    study = recorded()
    assert ledger.studies.get(study.name).spec["rule_version"] == RULE_VERSION
    before = study.spec()
    del before["rule_version"]
    ledger.studies.create("older", study.question, before, study.new_arms())
    create(ledger, make_study(name="older", commands=study.spec()["commands"]))
    assert "rule_version" not in ledger.studies.get("older").spec
    assert assess(ledger, "older").rows == 0


def test_a_study_of_a_newer_rule_is_not_judged(ledger: Ledger, recorded: Record) -> None:
    study = recorded()
    newer = study.spec() | {"rule_version": 99}
    ledger.studies.create("newer", study.question, newer, study.new_arms())
    with pytest.raises(RecordError, match="version 99 of the rule"):
        assess(ledger, "newer")
