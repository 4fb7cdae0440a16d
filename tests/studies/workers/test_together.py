"""A worker that trains runs together: which it takes, what it leaves in the ledger, and what verdicts come of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.engine.recipe import Recipe
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.questions.judged import comparable_in_time
from ablata.records.rows import RunRow
from ablata.studies.identity import new_run, record_environment
from ablata.studies.workers.together import Companions, Together, network_key
from ablata.studies.workers.worker import work


def enqueue(ledger: Ledger, recipe: Recipe, seed: int) -> RunRow:
    return ledger.runs.enqueue(new_run(ledger, recipe, seed, record_environment(ledger)))


def companions(ledger: Ledger, together: Together, beside: int = 1) -> tuple[str, list[str]]:
    claim = ledger.leases.claim("w", 30.0)
    assert claim is not None
    return claim.run.id, Companions(ledger, None, together, beside).ids(claim)


def test_a_worker_trains_runs_together_and_each_is_recorded_as_alone(
    ledger: Ledger, quick: Recipe, tmp_path: Path
) -> None:
    changed = override(quick, ("optim.lr=0.05",))
    runs = [enqueue(ledger, quick, 0), enqueue(ledger, quick, 1), enqueue(ledger, changed, 0)]
    assert work(ledger, idle_exit=True, together=Together(8)) == 3
    ended = [ledger.runs.get(run.id) for run in runs]
    assert [(run.state, run.attempt, (run.cost or {})["together"]) for run in ended] == [("completed", 1, 3.0)] * 3
    assert all((ledger.runs.folder(run) / "last.safetensors").is_file() for run in ended)
    assert all(any(event.kind == "together" for event in ledger.events.find(run_id=run.id)) for run in ended)
    with Ledger(home=tmp_path / "other", address=str(tmp_path / "other.sqlite3")) as other:
        alone = [enqueue(other, quick, 0), enqueue(other, quick, 1), enqueue(other, changed, 0)]
        work(other, idle_exit=True)
        assert [other.runs.get(run.id).scores for run in alone] == [run.scores for run in ended]
        assert not comparable_in_time([ended[0], other.runs.get(alone[0].id)], "cost/seconds")


def test_runs_of_one_network_go_together_no_more_than_a_workers_share(ledger: Ledger, quick: Recipe) -> None:
    wide = override(quick, ("model.width=8",))
    own = [enqueue(ledger, quick, seed).id for seed in range(4)]
    for seed in range(4):
        enqueue(ledger, wide, seed)
    assert companions(ledger, Together(8)) == (own[0], own[1:])
    # Of the seven that are left two workers take four each, and no more than three are of this network.
    assert companions(ledger, Together(8), beside=2) == (own[1], own[2:])
    assert companions(ledger, Together(2))[1] == [own[3]]


def test_what_waits_is_for_the_workers_that_train_nothing(ledger: Ledger, quick: Recipe) -> None:
    first, *_ = [enqueue(ledger, quick, seed) for seed in range(9)]
    other = ledger.leases.claim_run(first.id, "other", 30.0, "launch")
    claim = ledger.leases.claim("w", 30.0, launch="launch")
    assert claim is not None
    found = Companions(ledger, None, Together(8), 2)
    assert len(found.ids(claim)) == 3
    ledger.leases.progress(first.id, other.attempt, {"step": 1})
    assert len(found.ids(claim)) == 7


def test_why_a_run_is_trained_by_itself_is_told(ledger: Ledger, quick: Recipe) -> None:
    frozen = enqueue(ledger, override(quick, ("freeze=stem.*",)), 0)
    single = enqueue(ledger, quick, 0)
    assert work(ledger, idle_exit=True, together=Together(8)) == 2
    told = {
        run.id: [e.text for e in ledger.events.find(run_id=run.id) if e.kind == "together"] for run in (frozen, single)
    }
    assert "parts are frozen" in told[frozen.id][0]
    assert told[single.id] == ["trained by itself: no other run of its network waited for this worker"]


def test_runs_that_nothing_goes_with_are_trained_by_themselves(ledger: Ledger, quick: Recipe) -> None:
    enqueue(ledger, override(quick, ("freeze=stem.*",)), 0)
    enqueue(ledger, override(quick, ("freeze=stem.*",)), 1)
    assert companions(ledger, Together(8))[1] == []


def test_auto_leaves_networks_alone_that_gain_nothing_on_a_processor(ledger: Ledger, quick: Recipe) -> None:
    large = override(quick, ("model.width=512", "compute.device=cpu"))
    first = enqueue(ledger, large, 0)
    enqueue(ledger, large, 1)
    claim = ledger.leases.claim_run(first.id, "w", 30.0)
    found = Companions(ledger, None, Together.parse("auto"), 1)
    assert found.ids(claim) == []
    assert "gain nothing on a processor" in found.why[first.recipe_hash]
    assert len(Companions(ledger, None, Together(8), 1).ids(claim)) == 1


def test_what_must_be_equal_is_the_network_its_images_and_batch() -> None:
    recipe = load_recipe("digits", ())
    same = ("optim.lr=0.01", "loss.smoothing=0.1", "train.epochs=3", "data.augment.flip=true", "ema.decay=0.9")
    other = ("model.width=8", "train.batch=32", "train.accumulate=2", "compute.channels_last=true")
    keys = {change: network_key(load_recipe("digits", (change,))) for change in (*same, *other)}
    assert {keys[change] for change in same} == {network_key(recipe)}
    assert not {keys[change] for change in other} & {network_key(recipe)}


def test_how_many_is_auto_never_or_a_number() -> None:
    assert (Together.parse("never").most, Together.parse("4").most, Together.parse("auto").chosen) == (1, 4, True)
    assert all(Together.parse(str(one)) == one for one in (Together(), Together(4), Together.parse("auto")))
    for wrong in ("0", "-1", "many", ""):
        with pytest.raises(SettingsError, match="auto, never or"):
            Together.parse(wrong)


def test_how_a_studys_runs_go_together_is_a_sentence(quick: Recipe) -> None:
    recipes = {"control": quick, "frozen": override(quick, ("freeze=stem.*",))}
    assert Together().sentence(recipes) == ""
    assert Together(4).sentence(recipes) == (
        "up to 4 runs of one network as one; "
        "frozen by itself: a network of which parts are frozen is trained by itself (freeze)"
    )


def test_a_study_of_times_trains_its_runs_one_by_one() -> None:
    together, why = Together(8).of_study({"metric": {"key": "cost/seconds"}})
    assert together.most == 1
    assert "compares a time" in why
    assert Together(8).of_study({"metric": {"key": "val/plain/top1"}}) == (Together(8), "")
