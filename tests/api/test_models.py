from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from PIL import Image

import ablata
from ablata.base.errors import RecordError, SettingsError
from ablata.models.classification.digits_net import DigitsNet

OWN_NET = """
from ablata.models.classification.digits_net import DigitsNet


class Net(DigitsNet):
    width: int = 6
"""


def test_a_trained_network_is_loaded_scored_and_handed_on(quick: ablata.Recipe, tmp_path: Path) -> None:
    run = ablata.train(quick)
    model = ablata.load_model(run.run)
    assert not model.network.training
    assert model.classes == tuple("0123456789")
    images = model.example(2)
    assert model.outputs(images).shape == (2, 10)

    again = ablata.evaluate(run.run)
    assert again.scores == pytest.approx(run.scores)
    with pytest.raises(SettingsError, match="not what was trained"):
        ablata.evaluate(run.run, overrides={"model.width": 8})

    place, difference = ablata.export(run.run, "hub", tmp_path / "handed_on")
    assert (place, difference) == (tmp_path / "handed_on", 0.0)
    assert torch.equal(ablata.load_model(place).outputs(images), model.outputs(images))
    with pytest.raises(SettingsError, match="onnx, pt2, torchscript, openvino, hub"):
        ablata.export(run.run, "caffe")


def test_a_runs_folder_stands_for_it_in_any_lab_and_makes_none(
    quick: ablata.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ablata.train(quick)
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "other"))
    monkeypatch.chdir(run.folder.parent.parent)
    with pytest.raises(RecordError, match="fits no run of the lab"):
        ablata.evaluate(run.run)
    for place in (str(run.folder), f"runs/{run.run}"):
        assert ablata.evaluate(place).scores == pytest.approx(run.scores)
        assert ablata.run(place).run == run.run
        assert ablata.load_model(place).facts["run"] == run.run
    assert not (tmp_path / "other").exists()


def test_images_are_predicted_from_files_or_folders(quick: ablata.Recipe, tmp_path: Path) -> None:
    run, folder = ablata.train(quick), tmp_path / "<i>images"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (8, 8), 40 * number).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no image")
    found = ablata.predict(run.run, folder, top=2)
    assert [one.file.name for one in found] == ["0.png", "1.png", "2.png", "3.png"]
    assert [bool(one.problem) for one in found] == [False, False, False, True]
    assert (len(found), len(found[:2])) == (4, 2)
    assert len(found.to_rows()[0]["classes"]) == 2
    assert "0.png" in repr(found)
    assert "<i>" not in found._repr_html_()
    again = ablata.predict(ablata.load_model(run.run), [folder / "0.png"], top=2)
    assert again.to_rows() == found.to_rows()[:1]


def test_a_users_class_is_a_part(quick: ablata.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_net.py").write_text(OWN_NET)
    monkeypatch.syspath_prepend(tmp_path)
    own_net = importlib.import_module("own_net")
    run = ablata.train(quick, overrides={"model": own_net.Net, "model.depth": 3})
    assert (run.settings()["model"]["width"], run.settings()["model"]["depth"]) == (6, 3)
    built_in = ablata.train(quick, overrides={"model": DigitsNet, "model.width": 6, "model.depth": 3})
    assert run.scores == built_in.scores
    assert run.run != built_in.run
    assert ablata.load_model(run.run).example().shape == (1, 1, 8, 8)


def test_a_class_that_no_other_process_finds_is_refused(quick: ablata.Recipe) -> None:
    class Net(torch.nn.Module):
        pass

    with pytest.raises(SettingsError, match="at the top of a file"):
        ablata.train(quick, overrides={"model": Net})
