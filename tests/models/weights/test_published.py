"""Our networks with published weights have the published scores: files in the folder that ABLATA_WEIGHTS names."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD, Normalizer
from ablata.engine.task import RunContext
from ablata.models.classification.timm_model import TimmModel
from ablata.recipes.index import load_recipe

IMAGENETTE = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
"""Imagenette's folders among ImageNet's classes."""


@pytest.fixture
def published() -> Path:
    named = os.environ.get("ABLATA_WEIGHTS")
    if not named:
        pytest.skip("published weights are needed: set ABLATA_WEIGHTS to the folder that holds them")
    return Path(named)


def top1(overrides: list[str], recipe: str, cache: Path) -> float:
    made = load_recipe(recipe, ["compute.precision=fp32", *overrides])
    task = made.build(0, RunContext(torch.device("cpu"), cache))
    with torch.no_grad():
        return task.evaluate(task.model.eval(), "val", "plain")["top1"]


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("depth", "file", "score"),
    [(20, "12fca82f", 81.03), (32, "d509ac18", 82.56), (44, "014dd654", 82.67), (56, "4bfd9763", 83.20)],
)
def test_resnets_of_cifar_have_the_scores_of_public_weights_on_these_files(
    depth: int, file: str, score: float, published: Path, data_home: Path, tmp_path: Path
) -> None:
    weights = published / f"resnet{depth}-{file}.th"
    settings = ["data.normalization=imagenet", f"model.depth={depth}", f"model.weights={weights}"]
    settings += [f"data.root={data_home / 'cifar10'}", "model.weights_part=full"]
    found = top1(settings, "resnet20_cifar10", tmp_path)
    assert found == pytest.approx(score, abs=0.005)


@pytest.mark.realdata
def test_mobilenet_v2_has_its_score_on_the_validation_images_of_imagenet(
    published: Path, data_home: Path, tmp_path: Path
) -> None:
    """Of Imagenette's 3,500 images 117 are of ImageNet's validation set; the network has seen the others."""
    weights = published / "mobilenet_v2-b0353104.pth"
    settings = TimmModel(name="mobilenetv2_100", weights=str(weights), weights_part="full")
    model = settings.build(1000).eval()
    settings.load_into(model)
    normalize = Normalizer(IMAGENET_MEAN, IMAGENET_STD)
    with zipfile.ZipFile(data_home / "imagenette" / "imagenette.zip") as packed, torch.no_grad():
        names = sorted(name for name in packed.namelist() if "ILSVRC2012_val" in name)
        pixels = [np.asarray(Image.open(io.BytesIO(packed.read(name))).convert("RGB")) for name in names]
        images = normalize(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2))
        found = torch.cat([model(part)["logits"].argmax(1) for part in images.split(32)])
    truth = torch.tensor([IMAGENETTE[name.split("/")[-2]] for name in names])
    assert (int((found == truth).sum()), len(names)) == (85, 117)
