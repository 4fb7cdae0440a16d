from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablata.base.errors import LeaseLostError, RecordError, UserError
from ablata.records import Ledger, NewArm, NewRun
from ablata.records.values import decode, encode

Build = Callable[..., NewRun]


def end(ledger: Ledger, state: str, **parts: object) -> str:
    claim = ledger.leases.claim("worker", 60)
    assert claim is not None
    ledger.leases.finish(claim.run.id, claim.attempt, state, **parts)  # type: ignore[arg-type]
    return claim.run.id


def test_a_new_run_waits_with_a_folder_of_its_own(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run(seed=3, priority=2, parent="abc"))
    assert (run.state, run.attempt, run.seed, run.priority, run.parent) == ("waiting", 0, 3, 2, "abc")
    assert run.folder == f"runs/{run.id}"
    assert ledger.runs.folder(run) == ledger.home.resolve() / run.folder
    assert ledger.runs.settings(run) == {"name": "base"}
    assert ledger.runs.get(run.id) == run


@pytest.mark.parametrize("state", ["waiting", "running", "completed", "diverged"])
def test_an_equal_identity_is_trained_once(ledger: Ledger, new_run: Build, state: str) -> None:
    run = ledger.runs.enqueue(new_run())
    if state == "running":
        ledger.leases.claim("worker", 60)
    elif state != "waiting":
        end(ledger, state)
    again = ledger.runs.enqueue(new_run())
    assert (again.id, again.state) == (run.id, state)
    assert len(ledger.runs.find()) == 1


def test_runs_of_one_recipe_keep_each_its_own_settings(ledger: Ledger, new_run: Build) -> None:
    first = ledger.runs.enqueue(replace(new_run(), recipe={"root": "/a"}))
    second = ledger.runs.enqueue(replace(new_run(), recipe={"root": "/b"}, data="d2"))
    third = ledger.runs.enqueue(replace(new_run(), recipe={"root": "/a"}, data="d3"))
    roots = [ledger.runs.settings(run)["root"] for run in (first, second, third)]
    assert roots == ["/a", "/b", "/a"]
    claims = [ledger.leases.claim("worker", 60) for _ in roots]
    assert [claim.recipe["root"] for claim in claims if claim] == roots


@pytest.mark.parametrize("state", ["waiting", "running", "completed", "failed"])
def test_asked_for_again_elsewhere_only_a_run_that_is_yet_to_be_trained_moves(
    ledger: Ledger, new_run: Build, state: str
) -> None:
    run = ledger.runs.enqueue(replace(new_run(), recipe={"root": "/a"}))
    if state == "running":
        ledger.leases.claim("worker", 60)
    elif state != "waiting":
        end(ledger, state)
    ledger.runs.enqueue(replace(new_run(), recipe={"root": "/b"}))
    assert ledger.runs.settings(run)["root"] == ("/b" if state == "waiting" else "/a")
    ledger.runs.place(run.id, {"root": "/c"})
    assert ledger.runs.settings(run)["root"] == ("/c" if state in ("waiting", "failed") else "/a")


def test_only_the_attempt_that_holds_a_run_moves_it_while_it_runs(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(replace(new_run(), recipe={"root": "/a"}))
    claim = ledger.leases.claim("worker", 60)
    assert claim is not None
    ledger.leases.place(run.id, 1, run.recipe_hash, {"root": "/b"})
    with pytest.raises(LeaseLostError):
        ledger.leases.place(run.id, 0, run.recipe_hash, {"root": "/c"})
    assert ledger.runs.settings(run)["root"] == "/b"


@pytest.mark.parametrize("part", ["recipe_hash", "code", "data", "seed", "environment"])
def test_each_part_of_the_identity_makes_another_run(ledger: Ledger, new_run: Build, part: str) -> None:
    run = ledger.runs.enqueue(new_run())
    changed: dict[str, Any] = {part: 7 if part == "seed" else "other"}
    other = ledger.runs.enqueue(replace(new_run(), **changed))
    assert other.id != run.id


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_failed_or_cancelled_run_does_not_stand_for_its_identity(ledger: Ledger, new_run: Build, state: str) -> None:
    run = ledger.runs.enqueue(new_run())
    if state == "failed":
        end(ledger, "failed", error="no space left")
    else:
        assert ledger.runs.cancel(run.id)
    assert ledger.runs.enqueue(new_run()).id != run.id
    with pytest.raises(RecordError, match="Only one run of an identity"):
        ledger.runs.requeue(run.id)
    assert ledger.runs.get(run.id).state == state


def test_a_failed_run_is_put_back_with_its_seed_and_resumes(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run(seed=5))
    end(ledger, "failed", error="killed")
    back = ledger.runs.requeue(run.id)
    assert (back.state, back.seed, back.error, back.finished) == ("waiting", 5, None, None)
    claim = ledger.leases.claim("worker", 60)
    assert claim is not None
    assert (claim.run.id, claim.attempt, claim.resumed) == (run.id, 2, True)


@pytest.mark.parametrize("state", ["completed", "diverged"])
def test_completed_and_diverged_are_final(ledger: Ledger, new_run: Build, state: str) -> None:
    run = ledger.runs.enqueue(new_run())
    end(ledger, state)
    with pytest.raises(RecordError, match=state):
        ledger.runs.requeue(run.id)
    with pytest.raises(RecordError, match=state):
        ledger.runs.reset(run.id)
    assert not ledger.runs.cancel(run.id)


def test_a_reset_run_forgets_its_metrics(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    claim = ledger.leases.claim("worker", 60)
    assert claim is not None
    ledger.metrics.log(run.id, claim.attempt, [(0, "loss", 1.0)])
    with pytest.raises(RecordError, match="running"):
        ledger.runs.reset(run.id)
    ledger.leases.finish(run.id, claim.attempt, "failed")
    assert ledger.runs.reset(run.id).state == "waiting"
    assert ledger.metrics.of_runs([run.id]) == []


def test_a_running_run_is_not_cancelled(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    ledger.leases.claim("worker", 60)
    assert not ledger.runs.cancel(run.id)
    assert ledger.runs.get(run.id).state == "running"


def test_a_run_another_open_study_needs_is_not_cancelled(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    for name in ("one", "two"):
        ledger.studies.create(name, "?", {}, arms)
        run = ledger.studies.enqueue(name, "control", new_run())
    assert ledger.runs.studies_of(run.id) == ["one", "two"]
    assert not ledger.runs.cancel(run.id)
    assert not ledger.runs.cancel(run.id, study="one")
    ledger.studies.finish("two")
    assert ledger.runs.get(run.id).state == "waiting"
    assert ledger.runs.cancel(run.id, study="one")


def test_filters_narrow_the_list(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    ledger.studies.create("study", "?", {}, arms)
    a = ledger.studies.enqueue("study", "control", new_run(seed=0))
    b = ledger.studies.enqueue("study", "nearest", new_run(seed=1, recipe="nearest"))
    c = ledger.runs.enqueue(new_run(seed=1, recipe="other"))
    end(ledger, "completed")

    def ids(**filters: object) -> list[str]:
        return [run.id for run in ledger.runs.find(**filters)]  # type: ignore[arg-type]

    assert ids() == [c.id, b.id, a.id]
    assert ids(limit=1) == [c.id]
    assert ids(study="study") == [b.id, a.id]
    assert ids(state="completed") == [a.id]
    assert ids(state=["completed", "waiting"], seed=1) == [c.id, b.id]
    assert ids(recipe="nearest") == ids(recipe="hash-nearest") == [b.id]
    assert ids(study="absent") == []


def test_a_run_is_found_by_a_beginning_that_is_its_own(ledger: Ledger, new_run: Build) -> None:
    runs = [ledger.runs.enqueue(new_run(seed=seed)) for seed in range(40)]
    ledger_ids = {run.id for run in runs}
    for run in runs:
        assert ledger.runs.get(run.id) == run
        if sum(other.startswith(run.id[:6]) for other in ledger_ids) == 1:
            assert ledger.runs.get(run.id[:6]) == run
    for name in ("", "%", "no-such-run"):
        with pytest.raises(RecordError, match="no run"):
            ledger.runs.get(name)
    shared = next(
        letter for letter in sorted({i[0] for i in ledger_ids}) if sum(i[0] == letter for i in ledger_ids) > 1
    )
    with pytest.raises(RecordError, match="which fits"):
        ledger.runs.get(shared)


def test_a_folder_that_leaves_the_home_is_refused(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    with pytest.raises(UserError, match="inside its root"):
        ledger.runs.folder(replace(run, folder="../../etc"))


def test_figures_and_text_no_database_likes_survive(ledger: Ledger, new_run: Build) -> None:
    scores = {"nan": float("nan"), "inf": [float("inf"), -float("inf")], "text": "é\ud800\0ü"}
    ledger.runs.enqueue(new_run())
    run = ledger.runs.get(end(ledger, "diverged", scores=scores, error="a\0b\ud800"))
    assert repr(run.scores) == repr(scores)
    assert run.error is not None
    assert run.error.startswith("a\ufffdb")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_every_value_comes_back_from_its_json(value: object) -> None:
    assert repr(decode(encode(value))) == repr(value)


def test_a_value_without_a_json_form_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="only JSON values"):
        encode({"key": object()})
