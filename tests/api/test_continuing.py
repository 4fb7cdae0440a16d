from __future__ import annotations

import math
import shutil

import pytest

import ablata
from ablata.base.errors import CheckpointError, RecordError, SettingsError
from ablata.engine.checkpoints import load_checkpoint

STILL = {"optim.lr": 1e-9, "optim.momentum": 0.0, "optim.weight_decay": 0.0}
"""A training that leaves the weights what they were, but for the statistics of normalisation."""


def test_a_continued_run_is_a_new_one_that_begins_with_the_old_weights(quick: ablata.Recipe) -> None:
    old = ablata.train(quick, seed=1)
    new = ablata.continue_run(old.run[:6], overrides={"train.steps": 2, **STILL})
    assert (new.run != old.run, new.seed, new.cost["steps"]) == (True, 1, 2)
    assert new.settings()["start"] == {"run": old.run, "checkpoint": "last", "step": None, "first": None}
    before, after = (load_checkpoint(run.folder / "last.safetensors").weights() for run in (old, new))
    learnt = [name for name in before if before[name].is_floating_point() and "running" not in name]
    assert all(math.isclose(float((before[name] - after[name]).abs().max()), 0, abs_tol=1e-6) for name in learnt)
    assert ablata.continue_run(old.run, overrides={"train.steps": 2, **STILL}).run == new.run
    assert ablata.continue_run(old.run, overrides={"train.steps": 2, **STILL}, seed=2).run != new.run
    assert ablata.evaluate(new.run).data == new.row.data
    with pytest.raises(RecordError, match="starts from it"):
        ablata.lab.remove_runs(old.run)


def test_weights_that_do_not_fit_are_refused_before_anything_is_recorded(quick: ablata.Recipe) -> None:
    old = ablata.train(quick)
    for changes, words in [({"model.width": 8}, r"4, 1, 3, 3\] there and \[8"), ({"start.step": 5}, "keeps last")]:
        with pytest.raises(CheckpointError, match=words):
            ablata.continue_run(old.run, overrides=changes)
    with pytest.raises(CheckpointError, match="no file"):
        ablata.train(quick, overrides={"start.run": "absent"})
    assert [row["run"] for row in ablata.runs()] == [old.run]


def test_another_runs_checkpoint_in_a_runs_folder_is_not_begun_with(quick: ablata.Recipe) -> None:
    old, other = (ablata.train(quick, seed=seed) for seed in (1, 2))
    shutil.copy(other.folder / "last.safetensors", old.folder / "last.safetensors")
    with pytest.raises(CheckpointError, match=f"must be written by run {old.run} itself"):
        ablata.continue_run(old.run, overrides={"train.steps": 2})


def test_only_ended_runs_of_recipes_are_continued(quick: ablata.Recipe) -> None:
    with ablata.Ledger() as ledger:
        from ablata.studies.identity import new_run, record_environment

        waiting = ledger.runs.enqueue(new_run(ledger, quick, 0, record_environment(ledger)))
    with pytest.raises(SettingsError, match=f"train --resume {waiting.id}"):
        ablata.continue_run(waiting.id)
