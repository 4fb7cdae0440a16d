"""Re-identification networks on image files: the features of their run, the nearest images of a gallery, exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.settings import expand
from ablata.data.io.input_files import find_input_files
from ablata.data.synthetic.persons import Persons
from ablata.engine.predictor import PredictOptions
from ablata.engine.recipe import Train
from ablata.engine.task import RunContext
from ablata.metrics.retrieval import feature_distances
from ablata.models.classification.small_resnet import CifarResNet
from ablata.tasks.inference.hub import export_hub, load_exported
from ablata.tasks.inference.load import assemble
from ablata.tasks.inference.onnx_pt2 import export_onnx, export_pt2, preparation
from ablata.tasks.reid.predictor import ReidPredictor
from ablata.tasks.reid.task import Reidentify, ReidentifyTask

RECIPE = Reidentify(
    data=Persons(train=4, val=3, cameras=2, images=2, height=32, width=16),
    model=CifarResNet(depth=8, width=4),
    train=Train(epochs=1, batch=8),
)


@pytest.fixture
def task(shared_cache: Path) -> ReidentifyTask:
    torch.manual_seed(0)
    task = RECIPE.build(0, RunContext(torch.device("cpu"), shared_cache, channels_last=False))
    task.model.eval()
    return task


def predictor(task: ReidentifyTask) -> ReidPredictor:
    facts = {
        "recipe": expand(task.recipe),
        "run": "abc",
        "seed": 0,
        "step": 6,
        "scores": {"val/cross_camera/mAP": 50.0},
    }
    made = assemble(facts["recipe"], task.contract(), task.model.state_dict(), facts, "run abc")
    assert isinstance(made, ReidPredictor)
    return made


@pytest.fixture
def folders(task: ReidentifyTask, tmp_path: Path) -> tuple[Path, Path]:
    """Return folders of the queries and of the gallery of the validation split, named by identity and camera."""
    sightings = task.data.retrieval_split("val")
    images = torch.cat([batch.images for batch in task.data.eval_loader("val", 4)])
    mean, std = (torch.tensor(values)[:, None, None] for values in (task.data.mean, task.data.std))
    pixels = ((images * std + mean) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for row, image in enumerate(pixels):
        folder = tmp_path / ("query" if sightings.queries[row] else "gallery")
        folder.mkdir(exist_ok=True)
        name = f"{row:02d}_person{sightings.identities[row]}_camera{sightings.cameras[row]}.png"
        Image.fromarray(image).save(folder / name)
    return tmp_path / "query", tmp_path / "gallery"


def test_features_and_nearest_images_are_those_that_the_run_is_scored_by(
    task: ReidentifyTask, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    queries, gallery = folders
    options = PredictOptions(output=tmp_path / "out", top=2, gallery=(gallery,))
    done = list(predictor(task).predict_files(find_input_files([queries]), options))
    with torch.no_grad():
        embeddings = task.embed(task.model, "val")
    for one in done:
        assert one.features is not None
        torch.testing.assert_close(one.features, embeddings.features[int(one.file.name[:2])], atol=1e-4, rtol=1e-4)
        rows = [int(entry.file.name[:2]) for entry in find_input_files([gallery])]
        distances = feature_distances(one.features[None], embeddings.features[rows], "cosine")[0]
        assert [distance for _, distance in one.nearest] == pytest.approx(
            distances.sort().values[:2].tolist(), abs=1e-4
        )
        assert one.nearest[0][0].name in one.text()
        with Image.open(one.outputs[0]) as drawn:
            assert drawn.width > 3 * 16
    with np.load(tmp_path / "out" / "embeddings.npz") as kept:
        assert kept["files"].tolist() == [str(one.file) for one in done]
        assert kept["features"].shape == (len(done), embeddings.features.shape[1])


def test_without_a_gallery_an_image_has_its_embedding_alone(task: ReidentifyTask, folders: tuple[Path, Path]) -> None:
    (folders[0] / "bad.jpg").write_bytes(b"broken")
    done = list(predictor(task).predict_files(find_input_files([folders[0]]), PredictOptions()))
    assert [bool(one.problem) for one in sorted(done, key=lambda one: one.file)][-1]
    first = next(one for one in done if not one.problem)
    assert "embedding of" in first.text()
    assert first.as_dict()["nearest"] == []


def test_images_resized_otherwise_than_in_training_are_refused(task: ReidentifyTask) -> None:
    model = predictor(task)
    other = replace(model, contract={**model.contract, "image_backend": "opencv 4.9 bilinear no-antialias"})
    with pytest.raises(CheckpointError, match=r"opencv 4\.9[^*]*pil"):
        other.predict_files([], PredictOptions())
    with pytest.raises(SettingsError, match="must be a folder"):
        model.predict_files([], PredictOptions(output=Path(__file__)))


def test_every_export_gives_the_features_of_the_network(task: ReidentifyTask, tmp_path: Path) -> None:
    model = predictor(task)
    assert export_hub(model, tmp_path / "hub") == 0
    back = load_exported(tmp_path / "hub")
    assert torch.equal(back.outputs(back.example(2)), model.outputs(model.example(2)))
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "re-identification network, trained on 4 identities" in card
    assert "## Classes" not in card
    assert export_pt2(model, tmp_path / "out.pt2") < 1e-4
    assert preparation(model)["output"].startswith("features: float32 [batch, ")


@pytest.mark.slow
def test_onnx_gives_the_features_of_the_network(task: ReidentifyTask, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert export_onnx(predictor(task), tmp_path / "out.onnx") < 1e-4
