"""Classifiers on image files, and exported: as a folder, an archive and ONNX, with the same logits."""

from __future__ import annotations

import json
import sys
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ablata.base.errors import AblataError, CheckpointError, SettingsError
from ablata.base.settings import expand
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.io.input_files import InputFile
from ablata.engine.predictor import PredictOptions
from ablata.models.backbones.resnet import ResNet
from ablata.recipes.index import load_recipe
from ablata.tasks.classification.predictor import ClassificationPredictor, ClassPrediction, sheet
from ablata.tasks.inference.graph_checks import preparation
from ablata.tasks.inference.hub import BACKBONE, MODEL, RECIPE, export_hub, load_exported
from ablata.tasks.inference.load import assemble
from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2
from ablata.tasks.inference.torchscript_openvino import export_openvino, export_torchscript

FOLDER_DATA = ImageFolder(size=32, resize=40, backend="pil", workers=0)


def classifier(kind: str = "digits") -> ClassificationPredictor:
    """Return an untrained classifier: of digits, or a little ResNet for image files."""
    torch.manual_seed(0)
    files = kind == "files"
    recipe = load_recipe("digits", ["model.width=4"])
    if files:
        recipe = recipe.model_copy(update={"data": FOLDER_DATA, "model": ResNet(depth=18, width=8)})
    tree = expand(recipe)
    side, channels = (32, 3) if files else (8, 1)
    contract = {
        "task": "classify",
        "classes": ["ant", "bee", "cat"],
        "image_size": [side, side],
        "channels": channels,
        "mean": list(tree["data"]["mean"]),
        "std": list(tree["data"]["std"]),
        "image_backend": FOLDER_DATA.backend_name() if files else "exact",
        "protocols": ["plain"],
    }
    network: nn.Module = recipe.model.build(3, channels)  # type: ignore[attr-defined]
    facts = {"recipe": tree, "run": "abc", "seed": 0, "step": 6, "scores": {"val/plain/top1": 50.0}}
    found = assemble(tree, contract, network.state_dict(), facts, "run abc")
    assert isinstance(found, ClassificationPredictor)
    return found


def predict(model: ClassificationPredictor, files: Sequence[Path], **options: Any) -> list[ClassPrediction]:
    inputs = [InputFile(file, file.stem) for file in files]
    return list(model.predict_files(inputs, PredictOptions(**options)))


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Return three image files of different sizes."""
    random = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, size in zip(files, ((50, 60), (64, 41), (40, 40)), strict=True):
        Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(file)
    return files


@pytest.mark.parametrize("kind", ["digits", "files"])
def test_an_exported_folder_gives_the_same_predictions_wherever_it_lies(
    kind: str, tmp_path: Path, images: list[Path]
) -> None:
    model = classifier(kind)
    assert export_hub(model, tmp_path / "new" / "out") == 0
    moved = (tmp_path / "new" / "out").rename(tmp_path / "moved")
    back = load_exported(moved)
    assert isinstance(back, ClassificationPredictor)
    assert (back.classes, back.contract, back.facts["run"]) == (model.classes, dict(model.contract), "abc")
    assert [one.classes for one in predict(back, images)] == [one.classes for one in predict(model, images)]


def test_the_backbone_file_begins_another_training(tmp_path: Path) -> None:
    model = classifier("files")
    export_hub(model, tmp_path / "out")
    settings = ResNet(depth=18, width=8, weights=str(tmp_path / "out" / BACKBONE), weights_part="backbone")
    fresh = settings.build(7, 3)
    settings.load_into(fresh)
    state = fresh.state_dict()
    assert all(torch.equal(state[name], value) for name, value in load_file(tmp_path / "out" / BACKBONE).items())
    assert not any(name.startswith("classifier") for name in load_file(tmp_path / "out" / BACKBONE))


def test_the_card_tells_scores_with_protocol_classes_and_preparation(tmp_path: Path) -> None:
    model = classifier("files")
    export_hub(model, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| val | plain | top1 | 50 |" in text
    assert "2. cat" in text
    assert f"resized to 40 ({FOLDER_DATA.backend_name()})" in text
    assert json.loads((tmp_path / "out" / RECIPE).read_text())["recipe"]["data"]["root"] is None


def test_a_damaged_export_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_hub(classifier(), folder)
    with pytest.raises(CheckpointError, match="must go to a new folder"):
        export_hub(classifier(), folder)
    weights = load_file(folder / MODEL)
    weights["classifier.bias"] = weights["classifier.bias"] + 1
    save_file(weights, folder / MODEL)
    with pytest.raises(CheckpointError, match="must be those that were exported"):
        load_exported(folder)
    told = json.loads((folder / RECIPE).read_text())
    (folder / RECIPE).write_text(json.dumps(told | {"format": 9}))
    with pytest.raises(CheckpointError, match="format 9"):
        load_exported(folder)
    (folder / RECIPE).write_text("{")
    with pytest.raises(CheckpointError, match=r"whole recipe\.json"):
        load_exported(folder)


def test_an_image_is_prepared_as_the_evaluation_of_the_training_does(images: list[Path]) -> None:
    model = classifier("files")
    with Image.open(images[0]) as image:
        resized = image.resize((48, 40), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((8, 4, 40, 36)))
    np.testing.assert_array_equal(model.read(images[0]).permute(1, 2, 0).numpy(), expected)


def test_images_are_not_prepared_by_another_backend(images: list[Path]) -> None:
    model = classifier("files")
    other = replace(model, contract={**model.contract, "image_backend": "opencv 4.9 bilinear no-antialias"})
    with pytest.raises(CheckpointError, match=r"opencv 4\.9[^*]*pil"):
        predict(other, images)


def test_probabilities_are_sorted_and_unreadable_images_named(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"broken")
    first, bad, last = predict(classifier("files"), [images[0], tmp_path / "bad.jpg", images[1]], top=9)
    assert [first.file, last.file] == images[:2]
    assert "bad.jpg" in bad.problem
    assert bad.text() == ""
    for prediction in (first, last):
        chances = [chance for _, chance in prediction.classes]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1)
    assert sheet([first, bad, last]).width > 2 * 32


def test_every_protocol_predicts(images: list[Path]) -> None:
    plain, ten = (predict(classifier("files"), images, protocol=name) for name in ("plain", "ten_crop"))
    assert ten[0].view is not None
    assert ten[0].view.shape == (3, 40, 40)
    assert [one.classes for one in plain] != [one.classes for one in ten]


def test_what_cannot_be_predicted_is_refused(images: list[Path]) -> None:
    with pytest.raises(SettingsError, match=r"must be one of .*\n  found: tencrop"):
        predict(classifier(), images, protocol="tencrop")
    with pytest.raises(SettingsError, match="trained on digits"):
        predict(classifier(), images, protocol="ten_crop")
    with pytest.raises(SettingsError, match="--size must be HEIGHTxWIDTH in pixels, of a segmenter"):
        classifier().with_size("64x64")


def test_a_task_that_there_is_not_is_refused() -> None:
    model = classifier()
    with pytest.raises(SettingsError, match=r"task must be one of classify, .*\n.*found: juggle in run x"):
        assemble({**model.facts["recipe"], "task": "juggle"}, model.contract, {}, {}, "run x")


def test_an_archive_gives_the_same_logits_for_any_number_of_images(tmp_path: Path) -> None:
    model, path = classifier(), tmp_path / "m.pt2"
    assert export_pt2(model, path) < 1e-5
    told = {"ablata.json": ""}
    back = torch.export.load(path, extra_files=told).module()
    assert json.loads(told["ablata.json"]) == preparation(model)
    images = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(back(images), model.network(images)["logits"])
    with zipfile.ZipFile(path) as archive:
        assert not any(archive.read(name)[:2] == b"\x80\x02" for name in archive.namelist() if ".pkl" in name)
        assert all(not archive.read(name) for name in archive.namelist() if name.endswith(".pt"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["digits", "files"])
def test_onnx_gives_the_same_logits_and_says_how_to_feed_it(kind: str, tmp_path: Path) -> None:
    import onnxruntime

    model, path = classifier(kind), tmp_path / "m.onnx"
    assert export_onnx(model, path) < 1e-4
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = model.example(3)
    logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    torch.testing.assert_close(logits, model.network(images)["logits"], atol=1e-4, rtol=1e-3)
    assert json.loads(session.get_modelmeta().custom_metadata_map["ablata"]) == preparation(model)


def test_torchscript_gives_the_same_logits_at_any_size_and_on_real_images(tmp_path: Path, images: list[Path]) -> None:
    model, path = classifier("files").with_free_size(), tmp_path / "m.pt"
    assert export_torchscript(model, path, images) < 1e-5
    told = {"ablata.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls all of TorchScript deprecated
        back = torch.jit.load(path, _extra_files=told)  # type: ignore[no-untyped-call]
    assert "[batch, 3, height, width]" in json.loads(told["ablata.json"])["input"]
    batch = torch.randn(3, 3, 48, 40)
    torch.testing.assert_close(back(batch), model.network(batch)["logits"])


@pytest.mark.slow
def test_onnx_and_openvino_take_any_height_and_width(tmp_path: Path, images: list[Path]) -> None:
    pytest.importorskip("openvino")
    model = classifier("files").with_free_size()
    assert export_onnx(model, tmp_path / "m.onnx", images) < 1e-4
    assert export_openvino(model, tmp_path / "m.xml", images) < 1e-4
    assert sorted(path.name for path in tmp_path.glob("m.*")) == ["m.bin", "m.onnx", "m.xml"]
    with pytest.raises(SettingsError, match=r"write m\.xml"):
        export_openvino(model, tmp_path / "m.openvino")


def test_a_library_that_is_not_there_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SettingsError, match=r"pip install 'ablata\[openvino\]'"):
        export_openvino(classifier(), tmp_path / "m.xml")


def test_a_network_of_one_size_is_told_to_have_no_other(tmp_path: Path) -> None:
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    class OneSize(nn.Module):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"logits": fixed(images)}

    with pytest.raises(AblataError, match="without --free-size"):
        export_torchscript(replace(classifier(), network=OneSize()).with_free_size(), tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


class _Moody(nn.Module):
    """A network whose path depends on its input, which cannot be traced."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.sum() > 0:
            images = -images
        return {"logits": images.flatten(1)[:, :3]}


def test_a_network_that_cannot_be_traced_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(AblataError, match="--format hub"):
        export_pt2(replace(classifier(), network=_Moody()), tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())
