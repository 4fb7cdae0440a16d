"""Checkpoints survive what happens to disks, and are refused where they do not belong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ablata.base.errors import CheckpointError
from ablata.base.files import write_text
from ablata.engine import checkpoints
from ablata.engine.checkpoints import (
    BEST,
    LAST,
    Attempt,
    Checkpoint,
    load_checkpoint,
    load_run_checkpoint,
    refuse_mismatch,
    save_checkpoint,
)
from ablata.engine.train import train
from ablata.records.run_folder.code import imported_mark

SMALL = Checkpoint({"model": {"w": torch.arange(6.0).view(2, 3)}, "ema": {"w": torch.ones(2)}}, {"step": 3})


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    turned = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    tied = torch.ones(3, dtype=torch.bfloat16)
    kept = Checkpoint({"model": {"a": turned, "b": tied, "c": tied}, "task": {}}, {"step": 3, "scores": {"top1": 1.5}})
    save_checkpoint(tmp_path / LAST, kept)
    back = load_checkpoint(tmp_path / LAST)
    assert back.facts == kept.facts
    assert set(back.groups) == {"model"}
    assert all(torch.equal(back.groups["model"][name], tensor) for name, tensor in kept.groups["model"].items())
    assert back.groups["model"]["b"].dtype == torch.bfloat16


def test_the_file_is_plain_safetensors_with_json_in_its_header(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / LAST, SMALL)
    with safe_open(tmp_path / LAST, framework="pt") as file:
        assert set(file.keys()) == {"model/w", "ema/w"}
        assert json.loads(file.metadata()["ablata"])["step"] == 3
    assert (tmp_path / LAST).read_bytes()[8:9] == b"{"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_in_the_middle_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    save_checkpoint(tmp_path / LAST, SMALL)
    before = (tmp_path / LAST).read_bytes()

    def half(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(before[:20])
        raise failure

    monkeypatch.setattr(checkpoints, "save_file", half)
    with pytest.raises(CheckpointError if isinstance(failure, OSError) else KeyboardInterrupt) as caught:
        save_checkpoint(tmp_path / LAST, replace(SMALL, facts={"step": 4}))
    if isinstance(failure, OSError):
        assert "No space left" in str(caught.value)
        assert "previous one is untouched" in str(caught.value)
    assert (tmp_path / LAST).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [LAST]


def test_a_full_disk_ends_the_training_and_it_goes_on_from_the_last_good_one(
    digits: Callable, training: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training(digits(), "whole")
    plain = checkpoints.save_file
    writes = []

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        writes.append(path)
        if len(writes) > 6:
            raise OSError(28, "No space left on device")
        plain(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoints, "save_file", full)
    recipe = digits("train.checkpoint_seconds=1e-9")
    with pytest.raises(CheckpointError, match="No space left"):
        training(recipe)
    monkeypatch.undo()
    after = training(recipe)
    assert after.listener.facts["step"] == 6
    assert after.outcome.scores == whole.outcome.scores


def test_what_a_kill_left_half_written_is_cleared_away(digits: Callable, training: Callable) -> None:
    stopped = training(digits(), stop_after=3)
    (stopped.folder / f".{LAST}.abc123.tmp").write_bytes(b"half")
    (stopped.folder / "notes.tmp").write_text("mine")
    training(digits())
    names = {path.name for path in stopped.folder.iterdir()}
    assert names == {LAST, BEST, "recipe.txt", "notes.tmp", "items"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file .*last\.safetensors"):
        load_checkpoint(tmp_path / LAST)


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    save_checkpoint(tmp_path / LAST, SMALL)
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"must be readable\n  found: .*last\.safetensors"):
        load_checkpoint(tmp_path / LAST)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"ablata": "[1]"}, {"ablata": "{}"}])
def test_other_peoples_safetensors_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "foreign.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match=r"written by ablata\n  found: .*foreign"):
        load_checkpoint(tmp_path / "foreign.safetensors")


def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    header = {"ablata": json.dumps({"format": 7, "step": 1})}
    save_file({"model/w": torch.ones(1)}, tmp_path / LAST, metadata=header)
    with pytest.raises(CheckpointError, match="has format 7, this version reads format 2"):
        load_checkpoint(tmp_path / LAST)


def test_an_older_format_is_refused(tmp_path: Path) -> None:
    save_file({"model/w": torch.ones(1)}, tmp_path / LAST, metadata={"ablata": json.dumps({"format": 1, "step": 1})})
    with pytest.raises(
        CheckpointError, match=r"must not be older than ablata(.|\n)*format 1(.|\n)*train the run again"
    ):
        load_checkpoint(tmp_path / LAST)


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / LAST, SMALL)
    whole = (tmp_path / LAST).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (tmp_path / LAST).write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"last\.safetensors"):
            load_checkpoint(tmp_path / LAST)


def test_a_checkpoint_of_another_run_is_refused_by_its_writer(tmp_path: Path) -> None:
    facts = {"run": "abcd", "recipe_hash": "h1", "seed": 3, "step": 9, "attempt": 2}
    save_checkpoint(tmp_path / "abcd" / LAST, replace(SMALL, facts=facts))
    assert load_run_checkpoint(tmp_path / "abcd", "last")[0].facts == facts
    shutil.copytree(tmp_path / "abcd", tmp_path / "efgh")
    told = r"by run efgh itself(.|\n)*written by run abcd, recipe_hash h1, seed 3, step 9, attempt 2"
    with pytest.raises(CheckpointError, match=told):
        load_run_checkpoint(tmp_path / "efgh", "last")
    write_text(imported_mark(tmp_path / "efgh"), "abcd")
    assert load_run_checkpoint(tmp_path / "efgh", "last")[0].facts == facts


def test_a_run_is_not_resumed_from_the_file_of_another(digits: Callable, tmp_path: Path, shared_cache: Path) -> None:
    for name in ("one", "two"):
        train(digits("train.epochs=1"), 3, tmp_path / name, shared_cache, attempt=Attempt(name, 1))
    shutil.copy(tmp_path / "one" / LAST, tmp_path / "two" / LAST)
    with pytest.raises(CheckpointError, match="by run two itself"):
        train(digits("train.epochs=1"), 3, tmp_path / "two", shared_cache, attempt=Attempt("two", 2))


def test_a_contract_is_compared_where_both_speak() -> None:
    refuse_mismatch({"classes": ["a"], "old": 1}, {"classes": ["a"], "new": 2}, "run x")
    with pytest.raises(CheckpointError) as caught:
        refuse_mismatch({"classes": ["ant", "bee"]}, {"classes": ["ant", "cat"]}, "run x")
    assert 'run x has ["ant", "bee"], the data at hand ["ant", "cat"]' in str(caught.value)
    with pytest.raises(CheckpointError) as caught:
        refuse_mismatch({"classes": ["word"] * 1000}, {"classes": []}, "run x")
    assert len(str(caught.value)) < 500


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    saved = load_checkpoint(path)
    change(saved.facts)
    save_checkpoint(path, saved)


def test_a_run_is_not_resumed_with_another_recipe(digits: Callable, training: Callable) -> None:
    training(digits(), stop_after=3)
    with pytest.raises(CheckpointError, match=r"optim\.lr: 0\.05 -> 0\.1") as caught:
        training(digits("optim.lr=0.1"))
    assert "its own recipe" in str(caught.value)


def test_a_run_is_not_resumed_with_another_seed(digits: Callable, training: Callable) -> None:
    training(digits(), stop_after=3)
    with pytest.raises(CheckpointError, match="has 3, asked for 4"):
        training(digits(), seed=4)


def test_a_run_is_not_resumed_on_other_classes(digits: Callable, training: Callable) -> None:
    stopped = training(digits(), stop_after=3)
    rewrite(stopped.folder / LAST, lambda facts: facts["contract"]["classes"].reverse())
    with pytest.raises(CheckpointError, match=r'"9", "8", .* the data at hand \["0", "1"'):
        training(digits())


def test_a_run_is_not_resumed_on_data_of_another_length(digits: Callable, training: Callable) -> None:
    stopped = training(digits(), stop_after=3)
    rewrite(stopped.folder / LAST, lambda facts: facts.update(total=99))
    with pytest.raises(CheckpointError, match="has 99, asked for 18"):
        training(digits())


def test_weights_of_another_network_are_refused_in_words(digits: Callable, training: Callable) -> None:
    stopped = training(digits(), stop_after=3)
    saved = load_checkpoint(stopped.folder / LAST)
    del saved.groups["model"]["classifier.bias"]
    save_checkpoint(stopped.folder / LAST, saved)
    with pytest.raises(CheckpointError, match=r"must fit the network(.|\n)*classifier\.bias"):
        training(digits())


def test_incidental_settings_may_change_on_the_way(digits: Callable, training: Callable) -> None:
    whole = training(digits(), "whole")
    training(digits(), stop_after=3)
    rest = training(digits("train.evaluate_batch=100", "train.log_every=5", "compute.threads=2", "name=other"))
    assert rest.outcome.scores["val/plain/top1"] == whole.outcome.scores["val/plain/top1"]


def test_the_best_checkpoint_says_why_it_was_kept(digits: Callable, training: Callable) -> None:
    done = training(digits("train.epochs=4"))
    curve = done.listener.curve("val/plain/top1")
    highest = max(curve.values())
    step = min(step for step, value in curve.items() if value == highest)
    best = done.best().facts["best"]
    assert best == done.outcome.best
    assert (best["key"], best["value"], best["step"]) == ("val/plain/top1", highest, step)
    assert f"highest val/plain/top1 so far: {highest:.6g} at step {step}" in best["why"]
    assert "chosen on the split it is reported on" in best["why"]
    assert done.best().facts["step"] == step
    assert set(done.best().groups) == {"model"}


def test_the_best_is_chosen_on_minival_where_there_is_one(digits: Callable, training: Callable) -> None:
    done = training(digits("data.minival=30"))
    assert done.outcome.best["key"] == "minival/plain/top1"
    assert "reported on" not in done.outcome.best["why"]
    assert set(done.outcome.scores) >= {"minival/plain/top1", "val/plain/top1"}
    splits = json.loads((done.folder / "splits.json").read_text())["splits"]
    assert len(splits["minival"]) == 30
    assert not set(splits["minival"]) & set(splits["train"])


def test_what_a_run_delivers_are_the_averaged_weights(digits: Callable, training: Callable) -> None:
    done = training(digits("ema.decay=0.9", "train.evaluate_every=0"))
    average, raw = done.last().groups["ema"], done.last().groups["model"]
    delivered = load_checkpoint(done.folder / BEST).groups["model"]
    assert all(torch.equal(delivered[name], tensor) for name, tensor in average.items())
    assert not torch.equal(average["classifier.weight"], raw["classifier.weight"])
    assert delivered.keys() == raw.keys()
