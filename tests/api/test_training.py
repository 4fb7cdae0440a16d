from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import ablata
from ablata.base.errors import CheckpointError, DataError, DivergedError, RecordError, SettingsError

SHORT = {"train": {"epochs": None, "steps": 6, "evaluate_every": 0}, "model.width": 4}


def test_a_training_returns_its_scores_cost_and_curves_and_prints_nothing(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ablata.train("digits", seed=1, overrides=SHORT)
    assert run.state == "completed"
    assert 0 <= run.scores["val/plain/top1"] <= 100
    assert run.cost["steps"] == 6
    assert (run.folder / "last.safetensors").is_file()
    assert run.folder.is_relative_to(home)
    (loss,) = run.curves("val/plain/loss")
    assert (loss["step"], math.isfinite(loss["value"])) == (6, True)
    assert run.settings()["model"]["width"] == 4
    assert capfd.readouterr() == ("", "")


def test_all_forms_of_asking_name_the_same_run(quick: ablata.Recipe, tmp_path: Path) -> None:
    first = ablata.train("digits", seed=2, overrides=SHORT)
    texts = ["train.epochs=null", "train.steps=6", "train.evaluate_every=0", "model.width=4"]
    file = tmp_path / "mine.py"
    file.write_text("from ablata import load_recipe\n\ndef recipe():\n    return load_recipe('digits')\n")
    again = [
        ablata.train("digits", seed=2, overrides=texts),
        ablata.train(quick, seed=2),
        ablata.train(f"{file}:recipe", seed=2, overrides=SHORT),
        ablata.train(resume=first.run),
        ablata.run(first.run[:5]),
    ]
    assert {run.run for run in again} == {first.run}
    assert {run.row.attempt for run in again} == {1}


def test_a_completed_run_with_a_damaged_checkpoint_is_not_answered_by_resuming_it(quick: ablata.Recipe) -> None:
    run = ablata.train(quick, seed=2)
    place = run.folder / "last.safetensors"
    content = bytearray(place.read_bytes())
    content[-7] ^= 1
    place.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        ablata.train(resume=run.run)


def test_progress_is_shown_where_it_is_wanted(capfd: pytest.CaptureFixture[str]) -> None:
    run = ablata.train("digits", overrides=SHORT, progress=True)
    assert f"run {run.run}: digits, seed 0" in capfd.readouterr().err


def test_the_callers_torch_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    threads, expected = torch.get_num_threads(), torch.rand(3)
    torch.manual_seed(5)
    ablata.train("digits", overrides=SHORT)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_a_part_is_a_settings_object(quick: ablata.Recipe) -> None:
    from ablata.data.transforms.classification import Augment

    run = ablata.train(quick, overrides={"data.augment": Augment(pad=2)})
    assert run.settings()["data"]["augment"]["pad"] == 2


def test_a_diverged_training_raises_unless_told_otherwise(quick: ablata.Recipe) -> None:
    with pytest.raises(DivergedError, match=r"look at it: ablata\.run"):
        ablata.train(quick, overrides={"optim.lr": 1e9})
    run = ablata.train(quick, overrides={"optim.lr": 1e9}, check=False)
    assert (run.state, run.scores) == ("diverged", {})
    assert run.error is not None


def test_wrong_requests_are_told_in_words(subtests: pytest.Subtests) -> None:
    for asked, words in [
        ({}, "Give a recipe"),
        ({"recipe": "digits", "resume": "abc"}, "both"),
        ({"resume": "abc", "seed": 1}, "keeps its seed"),
        ({"recipe": "digit"}, "did you mean digits"),
        ({"recipe": "digits", "overrides": {"model.wdth": 3}}, "model.width"),
        ({"recipe": "digits", "overrides": "model.width=3"}, "list of texts"),
        ({"recipe": "digits", "overrides": {"model.width": object()}}, "a number, a text"),
        ({"recipe": "digits", "seed": -1}, "whole number from 0"),
        ({"recipe": "digits", "seed": "one"}, "whole number from 0"),
    ]:
        with subtests.test(asked=asked, words=words), pytest.raises(SettingsError, match=words):
            ablata.train(**asked)  # type: ignore[arg-type]


def test_runs_are_rows_and_a_run_shows_itself(quick: ablata.Recipe, tmp_path: Path) -> None:
    made = [ablata.train(quick, seed=seed) for seed in (0, 1)]
    rows = ablata.runs(recipe=quick.name)
    assert rows.column("run") == [run.run for run in reversed(made)]
    assert rows[0]["val/plain/top1"] == made[1].scores["val/plain/top1"]
    assert len(ablata.runs(state="failed")) == 0
    with pytest.raises(SettingsError, match="diverged"):
        ablata.runs(state="lost")
    with pytest.raises(RecordError):
        ablata.run("zzz")
    assert made[0].run in repr(made[0])
    assert "val/plain/top1" in made[0]._repr_html_()
    assert made[0].page(tmp_path / "run.html").read_text().startswith("<!doctype html>")
    compared = ablata.compare_runs(made[0].run, made[1].run)
    assert compared.changes == ()
    assert "seeds differ" in compared.notes[0]


def test_a_run_escapes_what_its_recipe_is_called(quick: ablata.Recipe) -> None:
    run = ablata.train(quick.model_copy(update={"name": "<b>x</b>"}))
    assert "<b>" not in run._repr_html_()


def test_a_training_set_smaller_than_a_batch_is_refused_before_a_run_is_recorded(quick: ablata.Recipe) -> None:
    large = {"train.batch": 100_000}
    with pytest.raises(DataError, match=r"train\.batch=\d+, or less"):
        ablata.train(quick, overrides=large)
    with pytest.raises(DataError, match="must fill at least one batch"):
        ablata.run_study(ablata.Study(name="large", question="?", control="digits", arms={"a": large}, seeds=3))
    assert ablata.runs().to_rows() == []


def test_a_loss_that_teaches_nothing_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("import torch\n\n\ndef loss(logits, labels):\n    return torch.tensor(3.0)\n")
    with pytest.raises(SettingsError, match="must depend on the network's outputs"):
        ablata.train("digits", overrides={**SHORT, "loss": f"{tmp_path / 'odd.py'}:loss"})
    assert list(ablata.runs()) == []


def test_a_name_that_a_library_does_not_know_is_refused_before_a_run_is_recorded() -> None:
    wrong = ("model=timm model.name=mobilenetv2_10", "optim=timm optim.name=lam")
    for settings, meant in zip(wrong, ("mobilenetv2_100", "lamb"), strict=True):
        with pytest.raises(SettingsError, match=r"did you mean (\w+, )+\w+\?") as caught:
            ablata.train("digits", overrides=settings.split(), progress=False)
        assert meant in str(caught.value)
    segmenters = {
        "model=smp model.encoder=resnet3": "resnet34",
        "model=features model.backbone=timm model.backbone.name=resnet_18": "resnet18",
    }
    for settings, meant in segmenters.items():
        with pytest.raises(SettingsError, match=rf"did you mean {meant}[,?]"):
            ablata.load_recipe("bisenet_scenes", settings.split()).refuse_unknown_names()
    assert len(ablata.runs()) == 0


def test_a_segmenter_that_does_not_take_the_images_of_a_step_is_refused_before_a_run_is_recorded() -> None:
    short, small = ["train.epochs=null", "train.steps=1"], "data.augment.crop.height=32 data.augment.crop.width=32"
    refused = {
        f"model=ddrnet {small}": "more than 32 pixels high and wide in training",
        "model=ddrnet train.batch=1": "One image a batch must be more than 64",
        "model=deeplab train.batch=1": r"more than one value a channel in training\n.*a map \[1, \d+, 1, 1\]",
        "model=smp model.decoder=dpt model.encoder=resnet18": "model.decoder must stand on model.encoder",
    }
    for settings, told in refused.items():
        with pytest.raises(SettingsError, match=told):
            ablata.train("bisenet_scenes", overrides=[*settings.split(), *short], progress=False)
    assert len(ablata.runs()) == 0
