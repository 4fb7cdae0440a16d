"""A detector's run scored again: every protocol, kept with its version, refused on other data."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import CheckpointError, SettingsError
from ablata.engine.checkpoints import LAST, load_checkpoint, save_checkpoint
from ablata.metrics.average_precision import EVALUATOR
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.evaluations import read_evaluations
from ablata.studies.evaluation import evaluate_run
from ablata.studies.identity import new_run, record_environment
from ablata.studies.workers.worker import work

QUICK = ["data.train=8", "data.val=4", "train.batch=4", "train.steps=2", "compute.threads=1", "compute.precision=fp32"]


@pytest.fixture
def trained(ledger: Ledger) -> RunRow:
    """A run that has completed."""
    recipe = load_recipe("relation_rcnn_scenes", QUICK)
    run = ledger.runs.enqueue(new_run(ledger, recipe, 0, record_environment(ledger)))
    assert work(ledger, idle_exit=True) == 1
    return ledger.runs.get(run.id)


def changed(ledger: Ledger, run: RunRow, **contract: object) -> None:
    """Change what the run's checkpoint promises."""
    path = ledger.runs.folder(run) / LAST
    saved = load_checkpoint(path)
    saved.facts["contract"] |= contract
    save_checkpoint(path, saved)


def test_every_protocol_is_scored_and_kept_with_the_version_of_its_evaluation(ledger: Ledger, trained: RunRow) -> None:
    found = evaluate_run(ledger, trained.id, protocols=["ap01", "ap50", "coco"])
    assert {name.split("/")[1] for name in found.scores} == {"ap01", "ap50", "coco"}
    assert trained.scores is not None
    assert found.scores["val/ap50/AP"] == pytest.approx(trained.scores["val/ap50/AP"])
    assert found.scores["val/coco/AP"] <= found.scores["val/ap50/AP"] <= found.scores["val/ap01/AP"]
    kept = read_evaluations(ledger.runs.folder(trained))
    assert {one.protocol: one.scores["evaluator"] for one in kept} == dict.fromkeys(("ap01", "ap50", "coco"), EVALUATOR)
    assert {name: value for one in kept for name, value in one.named.items()} == found.scores
    assert {(one.checkpoint, one.weights, one.step) for one in kept} == {("last", "eval", 2)}


def test_a_checkpoint_of_other_classes_or_of_another_evaluation_is_refused(ledger: Ledger, trained: RunRow) -> None:
    changed(ledger, trained, evaluator=EVALUATOR + 1)
    with pytest.raises(CheckpointError, match=f"(?s)evaluator must be the same.* has {EVALUATOR + 1}"):
        evaluate_run(ledger, trained.id)
    changed(ledger, trained, evaluator=EVALUATOR, classes=["lung", "heart"])
    with pytest.raises(CheckpointError, match=r'(?s)classes must be the same.*"lung", "heart".*"ring", "cross"'):
        evaluate_run(ledger, trained.id)
    assert read_evaluations(ledger.runs.folder(trained)) == []


def test_a_name_that_is_no_protocol_of_detection_is_refused(ledger: Ledger, trained: RunRow, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="apNN"):
        evaluate_run(ledger, trained.id, protocols=["miou"])
