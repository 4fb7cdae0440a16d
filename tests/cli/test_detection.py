"""A detector from the command line: trained, scored by several protocols, looked at, used on images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Answer

Ablata = Callable[..., Answer]

TINY = (
    "data.train=8", "data.val=4", "train.batch=4", "train.steps=2", "compute.threads=1", "compute.precision=fp32",
    "model.score_threshold=0",
)  # fmt: skip


@pytest.fixture
def run(ablata: Ablata) -> str:
    """A run that has completed."""
    return str(json.loads(ablata("train", "relation_rcnn_scenes", *TINY, "--json").out)["run"])


def test_a_run_is_scored_by_every_protocol_asked_for_and_its_page_shows_all(
    ablata: Ablata, run: str, tmp_path: Path
) -> None:
    answer = ablata("evaluate", run, "--protocol", "ap01", "--protocol", "ap50", "--protocol", "coco")
    assert answer.status == 0
    for name in ("val/ap01/AP", "val/ap50/AP", "val/coco/AP75", "val/coco/mask_AP_small", "val/ap01/evaluator = 1"):
        assert name in answer.out
    assert ablata("runs", "show", run, "--output", str(tmp_path / "run.html")).status == 0
    page = (tmp_path / "run.html").read_text()
    for words in ("Scored again", "Which boxes look at which", "Class graph", "Average precision of each class"):
        assert words in page
    assert "'protocol': 'coco'" in ablata("runs", "show", run).out


def test_images_are_drawn_and_told_in_the_form_of_coco(ablata: Ablata, run: str, tmp_path: Path) -> None:
    place, out = tmp_path / "in", tmp_path / "out"
    place.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(place / "a.png")
    answer = ablata("predict", run, str(place), "--output", str(out), "--score", "0")
    assert (answer.status, "a.png: " in answer.out) == (0, True)
    assert (out / "overlays" / "a.jpg").is_file()
    results = json.loads((out / "results.json").read_text())
    assert {tuple(sorted(one)) for one in results} == {("bbox", "category_id", "image_id", "score", "segmentation")}
    said = json.loads(ablata("predict", run, str(place), "--json").out)
    assert said["predictions"][0]["results"] == results
    (place / "bad.jpg").write_bytes(b"broken")
    answer = ablata("predict", run, str(place))
    assert answer.status == 1
    assert "bad.jpg" in answer.err


def test_what_a_detector_cannot_do_is_told_in_words(ablata: Ablata, run: str, tmp_path: Path) -> None:
    for line, words in (
        (f"predict {run} nothing.png", "nothing.png"),
        (f"predict {run} . --protocol ss", "apNN"),
        (f"export {run} --format onnx", "exported as a hub folder"),
        (f"evaluate {run} --protocol miou", "apNN"),
        (f"evaluate {run} data.val=6", "may change where things are"),
    ):
        Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
        answer = ablata(*line.split())
        assert answer.status == 2
        assert words in answer.err
