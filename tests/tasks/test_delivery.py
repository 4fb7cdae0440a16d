"""Classifiers handed on: the same logits from a folder, an archive and ONNX, and images prepared as in training."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ablata.base.errors import AblataError, CheckpointError, DataError, SettingsError
from ablata.base.settings import expand
from ablata.data.classification.image_folder import ImageFolder
from ablata.models.backbones.resnet import ResNet
from ablata.recipes.index import load_recipe
from ablata.tasks.classification.predict import predict_files
from ablata.tasks.classification.predictor import ClassificationPredictor
from ablata.tasks.inference.hub import BACKBONE, MODEL, RECIPE, export_hub, load_exported
from ablata.tasks.inference.load import assemble
from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2, preparation

FOLDER_DATA = ImageFolder(size=32, resize=40, backend="pil", workers=0)


def delivered(kind: str = "digits") -> ClassificationPredictor:
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
    model = delivered(kind)
    assert export_hub(model, tmp_path / "new" / "out") == 0
    moved = (tmp_path / "new" / "out").rename(tmp_path / "moved")
    back = load_exported(moved)
    assert isinstance(back, ClassificationPredictor)
    assert (back.classes, back.contract, back.facts["run"]) == (model.classes, dict(model.contract), "abc")
    assert [one.classes for one in predict_files(back, images).done] == [
        one.classes for one in predict_files(model, images).done
    ]


def test_the_backbone_file_begins_another_training(tmp_path: Path) -> None:
    model = delivered("files")
    export_hub(model, tmp_path / "out")
    settings = ResNet(depth=18, width=8, weights=str(tmp_path / "out" / BACKBONE), weights_part="backbone")
    fresh = settings.build(7, 3)
    settings.load_into(fresh)
    state = fresh.state_dict()
    assert all(torch.equal(state[name], value) for name, value in load_file(tmp_path / "out" / BACKBONE).items())
    assert not any(name.startswith("classifier") for name in load_file(tmp_path / "out" / BACKBONE))


def test_the_card_tells_scores_with_protocol_classes_and_preparation(tmp_path: Path) -> None:
    model = delivered("files")
    export_hub(model, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert "| val | plain | top1 | 50 |" in text
    assert "2. cat" in text
    assert f"resized to 40 ({FOLDER_DATA.backend_name()})" in text
    assert json.loads((tmp_path / "out" / RECIPE).read_text())["recipe"]["data"]["root"] is None


def test_a_damaged_export_is_refused_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_hub(delivered(), folder)
    with pytest.raises(CheckpointError, match="must go to a new folder"):
        export_hub(delivered(), folder)
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
    model = delivered("files")
    with Image.open(images[0]) as image:
        resized = image.resize((48, 40), Image.Resampling.BILINEAR)
    expected = np.asarray(resized.crop((8, 4, 40, 36)))
    np.testing.assert_array_equal(model.read(images[0]).permute(1, 2, 0).numpy(), expected)


def test_images_are_not_prepared_by_another_backend(images: list[Path]) -> None:
    model = delivered("files")
    other = replace(model, contract={**model.contract, "image_backend": "opencv 4.9 bilinear no-antialias"})
    with pytest.raises(CheckpointError, match=r"opencv 4\.9[^*]*pil"):
        predict_files(other, images)


def test_probabilities_are_sorted_and_unreadable_images_named(images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"broken")
    found = predict_files(delivered("files"), [images[0], tmp_path / "bad.jpg", images[1]], top=9)
    assert [one.file for one in found.done] == images[:2]
    assert len(found.unreadable) == 1
    assert "bad.jpg" in found.unreadable[0]
    for one in found.done:
        chances = [chance for _, chance in one.classes]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1)
    assert found.sheet().width > 2 * 32


def test_every_protocol_predicts(images: list[Path]) -> None:
    plain, ten = (predict_files(delivered("files"), images, protocol=name) for name in ("plain", "ten_crop"))
    assert ten.protocol == "ten_crop"
    assert ten.done[0].shown.shape == (3, 40, 40)
    assert [one.classes for one in plain.done] != [one.classes for one in ten.done]


def test_what_cannot_be_predicted_is_refused(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing_here"):
        predict_files(delivered(), [tmp_path / "nothing_here.jpg"])
    with pytest.raises(SettingsError, match="must be one of plain"):
        predict_files(delivered(), images, protocol="tencrop")
    with pytest.raises(SettingsError, match="trained on digits"):
        predict_files(delivered(), images, protocol="ten_crop")


def test_only_classifiers_are_handed_on() -> None:
    model = delivered()
    with pytest.raises(CheckpointError, match="of the task reidentify"):
        assemble(model.facts["recipe"], {**model.contract, "task": "reidentify"}, {}, {}, "run x")


def test_an_archive_gives_the_same_logits_for_any_number_of_images(tmp_path: Path) -> None:
    model, path = delivered(), tmp_path / "m.pt2"
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

    model, path = delivered(kind), tmp_path / "m.onnx"
    assert export_onnx(model, path) < 1e-4
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = model.example(3)
    logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    torch.testing.assert_close(logits, model.network(images)["logits"], atol=1e-4, rtol=1e-3)
    assert json.loads(session.get_modelmeta().custom_metadata_map["ablata"]) == preparation(model)


class _Moody(nn.Module):
    """A network whose path depends on its input, which cannot be traced."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.sum() > 0:
            images = -images
        return {"logits": images.flatten(1)[:, :3]}


def test_a_network_that_cannot_be_traced_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(AblataError, match="--format hub"):
        export_pt2(replace(delivered(), network=_Moody()), tmp_path / "m.pt2")
    assert not list(tmp_path.iterdir())
