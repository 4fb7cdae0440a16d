"""Detectors on image files: the detections of their run, overlays, COCO's JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.settings import expand
from ablata.data.detection.rle import decode, from_runs
from ablata.data.io.input_files import find_input_files
from ablata.engine.predictor import PredictOptions
from ablata.engine.task import RunContext
from ablata.metrics.average_precision import EVALUATOR
from ablata.recipes.index import load_recipe
from ablata.structures.detection import Detections, Rle
from ablata.tasks.detection.predictor import DetectionPredictor, coco_results
from ablata.tasks.detection.task import Detect, DetectTask
from ablata.tasks.inference.hub import export_hub, load_exported
from ablata.tasks.inference.load import assemble
from ablata.tasks.inference.onnx_pt2 import export_pt2

QUICK = ["data.train=8", "data.val=4", "model.score_threshold=0", "model.max_detections=10"]


@pytest.fixture
def task(tmp_path: Path) -> DetectTask:
    """Return an untrained little detector with both relations."""
    torch.manual_seed(0)
    recipe = load_recipe("relation_rcnn_scenes", QUICK)
    assert isinstance(recipe, Detect)
    return recipe.build(0, RunContext(torch.device("cpu"), tmp_path / "cache"))


def predictor(task: DetectTask, **contract: object) -> DetectionPredictor:
    facts = {"recipe": expand(task.recipe), "run": "abc", "seed": 0, "step": 6, "scores": {"val/ap50/AP": 50.0}}
    told = task.contract() | contract
    found = assemble(facts["recipe"], told, task.model.state_dict(), facts, "run abc")  # type: ignore[arg-type]
    assert isinstance(found, DetectionPredictor)
    return found


@pytest.fixture
def folder(task: DetectTask, tmp_path: Path) -> Path:
    """Return a folder with the validation images, and a damaged one."""
    place = tmp_path / "in"
    place.mkdir()
    for row in range(4):
        Image.fromarray(task.data.sources["val"].pixels(row)).save(place / f"{row}.png")
    (place / "bad.jpg").write_bytes(b"broken")
    return place


def test_detections_are_those_that_the_run_is_scored_by(task: DetectTask) -> None:
    model = predictor(task)
    with torch.no_grad():
        scored = dict(task.detections(task.model.eval(), "val", "ap50"))
    for row, expected in scored.items():
        found = model.detect(task.data.sources["val"].pixels(row))
        torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-4)
        assert torch.equal(found.labels, expected.labels)
        assert len(found) == 10


def test_every_file_has_an_overlay_and_its_detections_in_a_form_that_pycocotools_reads(
    task: DetectTask, folder: Path, tmp_path: Path
) -> None:
    model, out = predictor(task), tmp_path / "out"
    done = list(model.predict_files(find_input_files([folder]), PredictOptions(output=out, score_threshold=0.0)))
    assert [one.file.name for one in done if one.problem] == ["bad.jpg"]
    for one in done:
        if not one.problem:
            with Image.open(one.outputs[0]) as drawn:
                assert drawn.size == (96, 96)
            assert sum(count for _, count, _ in one.classes) == len(one.results) == 10
    known = COCO(out / "images.json")
    loaded = known.loadRes(str(out / "results.json"))
    assert [known.imgs[number]["file_name"] for number in (1, 2)] == [str(folder / f"{row}.png") for row in (0, 1)]
    assert {one["name"] for one in known.cats.values()} == set(task.data.classes)
    assert len(loaded.anns) == 40
    mask = decode([from_runs((96, 96), loaded.anns[1]["segmentation"]["counts"])], 96, 96)[0]
    left, top, width, height = loaded.anns[1]["bbox"]
    outside = torch.ones(96, 96, dtype=torch.bool)
    outside[int(top) : int(top + height) + 1, int(left) : int(left + width) + 1] = False
    assert not (mask & outside).any()


def test_a_result_has_the_category_number_and_the_sides_of_its_box() -> None:
    found = Detections(
        torch.tensor([[1.0, 2, 4, 8]]), torch.tensor([1]), torch.tensor([0.5]), (Rle((9, 7), b"abc"),)
    )  # fmt: skip
    assert coco_results(found, 3, (5, 17)) == [
        {"image_id": 3, "category_id": 17, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.5,
         "segmentation": {"size": [9, 7], "counts": "abc"}}
    ]  # fmt: skip


def test_fewer_boxes_are_proposed_where_the_protocol_says_so(task: DetectTask, folder: Path) -> None:
    model, inputs = predictor(task), find_input_files([folder / "0.png"])
    options = [PredictOptions(protocol=name) for name in ("ap50@1", "ap50@1000")]
    counts = [len(next(iter(model.predict_files(inputs, each))).results) for each in options]
    assert counts[0] <= 7  # one box, at most once a class
    assert counts[1] == 10
    with pytest.raises(SettingsError, match="ap01, ap50, coco"):
        model.predict_files(inputs, PredictOptions(protocol="ss"))
    with pytest.raises(SettingsError, match="--score must be from 0 to 1"):
        model.predict_files(inputs, PredictOptions(score_threshold=50))


def test_images_decoded_otherwise_than_in_training_are_refused(task: DetectTask, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"pil 4\.2"):
        predictor(task, image_backend="pil 4.2").predict_files(find_input_files([folder]), PredictOptions())


def test_an_exported_folder_is_the_same_detector_and_a_graph_is_refused(task: DetectTask, tmp_path: Path) -> None:
    model = predictor(task)
    assert export_hub(model, tmp_path / "hub") == 0
    back = load_exported(tmp_path / "hub")
    assert isinstance(back, DetectionPredictor)
    pixels = task.data.sources["val"].pixels(0)
    assert torch.equal(back.detect(pixels).boxes, model.detect(pixels).boxes)
    assert "A detector of 7 classes" in (tmp_path / "hub" / "README.md").read_text()
    with pytest.raises(SettingsError, match="exported as a hub folder"):
        export_pt2(model, tmp_path / "out.pt2")


def test_the_contract_carries_numbers_classes_and_the_version_of_the_evaluation(task: DetectTask) -> None:
    contract = json.loads(json.dumps(task.contract()))
    assert contract["category_ids"] == list(range(1, 8))
    assert contract["evaluator"] == EVALUATOR
