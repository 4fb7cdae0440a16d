"""Trainings that a detector starts from: told by their differences, trained first, their heads kept or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.overrides import override
from ablata.base.settings import settings_hash
from ablata.engine.checkpoints import LAST, Checkpoint, save_checkpoint
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.task import RunContext
from ablata.recipes.index import load_recipe
from ablata.studies.chain import lineage
from ablata.studies.smoke import smoke
from ablata.tasks.detection.start_from import StartFrom
from ablata.tasks.detection.task import Detect, DetectTask

PLAIN: dict[str, Any] = {"steps": 3, "changes": ["model.relations=null", "model.stages=[{}]"]}
CLASSES: dict[str, Any] = {"steps": 2, "changes": ["model.relations.spatial=null"], "heads": "retrain"}
TINY = (
    "data.train=4", "data.val=2", "model.backbone.width=4", "model.head_width=16", "model.relations.spatial.width=16",
    "train.steps=1", "train.batch=2", "train.evaluate_batch=2", "compute.precision=fp32", "compute.threads=1",
)  # fmt: skip


def recipe(*changes: str) -> Detect:
    made = load_recipe("relation_rcnn_scenes", (*TINY, *changes))
    assert isinstance(made, Detect)
    return made


def after(*earlier: dict[str, Any], heads: str = "fit") -> tuple[str, str]:
    return f"start.earlier={json.dumps(earlier, separators=(',', ':'))}", f"start.heads={heads}"


def task(made: Detect, cache: Path, parent: Path | None) -> DetectTask:
    torch.manual_seed(0)
    built = made.build(0, RunContext(torch.device("cpu"), cache, ProcessGroup(), True, parent))
    if made.start is not None and parent is not None:
        built.load_start(made.start, parent)
    return built


def test_each_training_is_the_one_after_it_with_its_changes() -> None:
    plain, classes, both = lineage(recipe(*after(PLAIN, CLASSES, heads="keep")))
    assert isinstance(plain, Detect)
    assert isinstance(classes, Detect)
    assert [one.train.steps for one in (plain, classes, both)] == [3, 2, 1]
    assert (plain.start, plain.model.relations, len(plain.model.stages)) == (None, None, 1)
    assert classes.model.relations is not None
    assert classes.model.relations.spatial is None
    assert classes.start == recipe(*after(PLAIN, heads="retrain")).start
    assert settings_hash(plain) == settings_hash(override(recipe("train.steps=3"), PLAIN["changes"]))


def test_trainings_that_start_alike_share_what_comes_before() -> None:
    one, other = (lineage(recipe(*after(PLAIN), change)) for change in ("optim.lr=0.01", "optim.lr=0.01"))
    assert settings_hash(one[0]) == settings_hash(other[0])
    both = lineage(recipe(*after(PLAIN, CLASSES)))
    assert settings_hash(both[0]) == settings_hash(lineage(recipe(*after(PLAIN)))[0])


def test_a_change_that_does_not_fit_is_refused_before_any_training() -> None:
    made = recipe(*after({"changes": ["model.relation=null"]}))
    with pytest.raises(SettingsError, match=r"model\.relation"):
        lineage(made)


@pytest.mark.parametrize("start", [{}, {"run": "abc", "earlier": [PLAIN]}])
def test_a_start_is_a_run_or_what_comes_before(start: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"either start\.run or start\.earlier"):
        StartFrom.model_validate_json(json.dumps(start))


def saved(folder: Path, made: Detect, cache: Path, classes: tuple[str, ...] | None = None) -> dict[str, torch.Tensor]:
    """Write a checkpoint of a recipe's model whose weights are all moved by one, and return them."""
    built = task(made, cache, None)
    weights = {name: tensor + 1 for name, tensor in built.model.state_dict().items()}
    names = classes or built.data.classes
    save_checkpoint(folder / LAST, Checkpoint({"model": weights}, {"step": 3, "contract": {"classes": list(names)}}))
    return weights


def kept(made: Detect, cache: Path, parent: Path, weights: dict[str, torch.Tensor]) -> set[str]:
    """Return the names of the tensors that a model took over."""
    state = task(made, cache, parent).model.state_dict()
    return {name for name, one in weights.items() if name in state and torch.equal(one, state[name])}


def test_what_fits_is_kept_and_the_rest_begins_anew(tmp_path: Path, shared_cache: Path) -> None:
    made = recipe(*after(PLAIN))
    weights = saved(tmp_path, lineage(made)[0], shared_cache)  # type: ignore[arg-type]
    assert kept(made, shared_cache, tmp_path, weights) == set(weights)
    fresh = kept(recipe(*after(PLAIN, heads="retrain")), shared_cache, tmp_path, weights)
    heads = ("stages.heads.", "mask_predictor.")
    assert fresh == {name for name in weights if not name.startswith(heads)}
    with pytest.raises(CheckpointError, match=r"start\.heads=fit"):
        task(recipe(*after(PLAIN, heads="keep")), shared_cache, tmp_path)


def test_modules_that_are_gone_are_left_behind(tmp_path: Path, shared_cache: Path) -> None:
    made = recipe(*after({"changes": []}), "model.relations.classes=null")
    weights = saved(tmp_path, recipe(), shared_cache)
    gone = {name for name in weights if name.startswith("stages.relations.classes.")}
    found = kept(made, shared_cache, tmp_path, weights)
    assert gone
    assert not gone & found
    assert {name for name in weights if name.startswith("backbone.")} <= found


def test_heads_of_other_classes_and_other_backbones_are_not_taken(tmp_path: Path, shared_cache: Path) -> None:
    weights = saved(tmp_path, recipe(), shared_cache, classes=("a", "b", "c", "d", "e", "f", "g"))
    found = kept(recipe(*after({"changes": []})), shared_cache, tmp_path, weights)
    assert not any(name.startswith("stages.heads.") for name in found)
    with pytest.raises(CheckpointError, match="same backbone"):
        task(recipe(*after({"changes": []}), "model.backbone.width=8"), shared_cache, tmp_path)


def test_the_class_graph_is_that_of_the_recipe(tmp_path: Path, shared_cache: Path) -> None:
    saved(tmp_path, recipe(), shared_cache)
    made = task(recipe(*after({"changes": []}, heads="keep")), shared_cache, tmp_path)
    known = made.model.get_buffer("stages.relations.classes.graph")
    assert torch.equal(known, torch.from_numpy(made.graph.matrix).float())


def test_a_chain_of_three_trains(shared_cache: Path) -> None:
    assert smoke(recipe(*after(PLAIN, CLASSES)), shared_cache)
