"""The detection task: what it trains on and scores, what is logged and watched, where it starts, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import CheckpointError, DataError, SettingsError
from ablata.base.overrides import override
from ablata.data.detection.coco import Coco
from ablata.engine.checkpoints import BEST, LAST, load_checkpoint, save_checkpoint
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train import TrainResult, train
from ablata.engine.watchdogs import CollapseWatch
from ablata.recipes.index import load_recipe
from ablata.records.run_folder.items import read_items
from ablata.structures.detection import Detections
from ablata.tasks.detection.protocols import detection_protocol
from ablata.tasks.detection.task import Detect, DetectTask

PROCESS = Path(__file__).with_name("detect_process.py")
TINY = (
    "data.train=6", "data.val=3", "model.head_width=16", "model.relations.spatial.width=16", "train.steps=2",
    "train.batch=2", "train.evaluate_batch=2", "train.log_every=1", "compute.precision=fp32",
    "compute.threads=1", "model.score_threshold=0.0",
)  # fmt: skip

SMALL = ("model.backbone.width=4",)


def recipe(*changes: str, backbone: tuple[str, ...] = SMALL) -> Detect:
    made = load_recipe("relation_rcnn_scenes", (*TINY, *backbone, *changes))
    assert isinstance(made, Detect)
    return made


def task(made: Detect, cache: Path) -> DetectTask:
    torch.manual_seed(0)
    return made.build(0, RunContext(torch.device("cpu"), cache, ProcessGroup(), True))


class Ear(Reporter):
    """Keeps what a training tells."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, str], float] = {}
        self.events: list[tuple[str, str]] = []

    def metrics(self, rows: Any) -> None:
        self.rows |= {(step, name): value for step, name, value in rows}

    def event(self, level: str, kind: str, text: str) -> None:
        self.events.append((kind, text))


@pytest.fixture
def trained(tmp_path: Path, shared_cache: Path) -> Callable[..., tuple[TrainResult, Ear]]:
    """A function that trains a recipe in a folder of the test's own."""

    def begin(made: Detect, folder: str = "run", seed: int = 3) -> tuple[TrainResult, Ear]:
        ear = Ear()
        return train(made, seed, tmp_path / folder, shared_cache, ear), ear

    return begin


def coco(root: Path, counts: list[int], val: list[int]) -> Coco:
    """Write a set of 64 x 64 images with so many boxes of one of two classes on each."""
    root.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for source, numbers in (("train", counts), ("val", val)):
        images, objects = [], []
        for number, count in enumerate(numbers):
            pixels = random.integers(0, 80, (64, 64, 3), dtype=np.uint8)
            for _ in range(count):
                left, top = (int(side) for side in random.integers(0, 40, 2))
                pixels[top : top + 20, left : left + 20] = 220
                corners = [left, top, left + 20, top, left + 20, top + 20, left, top + 20]
                objects.append({"id": len(objects) + 1, "image_id": number, "category_id": 1 + len(objects) % 2,
                                "bbox": [left, top, 20, 20], "segmentation": [corners]})  # fmt: skip
            name = f"{source}{number}.png"
            Image.fromarray(pixels).save(root / name)
            images.append({"id": number, "file_name": name, "height": 64, "width": 64})
        tree = {"images": images, "annotations": objects,
                "categories": [{"id": 1, "name": "odd"}, {"id": 2, "name": "even"}]}  # fmt: skip
        (root / f"{source}.json").write_text(json.dumps(tree))
    return Coco(
        root=str(root), train_json="train.json", val_json="val.json", train_images=".", val_images=".", classes=2
    )


def on_files(root: Path, counts: list[int], val: list[int], *changes: str) -> Detect:
    return recipe(*changes).model_copy(update={"data": coco(root, counts, val)})


def test_every_term_of_every_stage_and_level_is_logged(trained: Callable) -> None:
    sizes = "model.rpn.sizes=[[8],[16],[24],[48],[96]]"
    pyramid = ("model.backbone=timm", "model.backbone.name=resnet18", "model.backbone.channels=8", sizes)
    outcome, ear = trained(recipe(backbone=pyramid))
    terms = {f"{name}_{level}" for name in ("objectness", "proposal_box") for level in range(5)}
    terms |= {"class_1", "class_2", "box_1", "box_2", "mask"}
    for step in (1, 2):
        assert terms <= {name.removeprefix("train/") for at, name in ear.rows if at == step}
    assert not [text for kind, text in ear.events if kind == "no_gradient"]
    assert {"val/ap50/AP", "val/ap50/mask_AP", "val/ap01/AP", "val/ap50/classes"} <= outcome.scores.keys()


def test_a_level_without_objects_is_no_collapse_but_a_dead_mask_is(tmp_path: Path) -> None:
    made, watch = task(recipe(), tmp_path), CollapseWatch()
    said = []
    for step in range(8):
        falling = 1 / (step + 1)
        terms = {"objectness_0": falling, "objectness_1": 0.0 if step else 0.2, "proposal_box_0": falling,
                 "proposal_box_1": 0.0, "class_1": falling, "mask": 2.5e-5 if step > 2 else 0.7}  # fmt: skip
        said += watch.note(made.watched_terms(terms))
    (message,) = said
    assert message.startswith("loss term mask")


def test_a_stage_that_is_not_to_learn_is_not_watched(trained: Callable) -> None:
    stages = 'model.stages=[{"weight":0},{}]'
    _, ear = trained(recipe(stages, "train.steps=5"))
    assert ear.rows[5, "train/class_1"] == 0
    assert not [text for kind, text in ear.events if kind == "collapse"]


def test_images_without_objects_train_and_count(trained: Callable, tmp_path: Path) -> None:
    made = on_files(tmp_path / "set", [0, 1, 0, 2], [2, 0, 0])
    outcome, ear = trained(made)
    assert all(np.isfinite(value) for value in ear.rows.values())
    assert outcome.scores["val/ap50/classes"] == 2
    assert any("2 of 4 images of train without objects" in text for _, text in ear.events)


def test_detections_on_an_image_without_objects_lower_the_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {}
    for name, val in (("without", [1]), ("with", [1, 0])):
        made = task(on_files(tmp_path / name, [1, 1], val), tmp_path)
        truth = made.data.entries("val")[0].objects
        found = [
            (number, Detections(truth.boxes, truth.labels, torch.full((1,), score)))
            for number, score in ((0, 0.5), (1, 0.9))
        ]
        kept = found[: len(val)]
        monkeypatch.setattr(made, "detections", lambda *asked, kept=kept: iter(kept))
        scores[name] = made.collect(made.model, "val", "ap50").score("box", (0.5,)).mean()
    assert scores["without"] == pytest.approx(100)
    assert scores["with"] == pytest.approx(50)


def test_a_set_without_any_object_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 images without any"):
        task(on_files(tmp_path / "set", [0, 0], [1]), tmp_path)


def test_nothing_found_scores_nothing(tmp_path: Path) -> None:
    made = task(recipe("model.score_threshold=0.99"), tmp_path)
    scores = made.evaluate(made.model.eval(), "val", "coco")
    assert scores["AP"] == scores["mask_AP"] == scores["AP50"] == 0


def test_a_batch_outside_its_classes_or_image_is_refused(tmp_path: Path) -> None:
    made = task(recipe(), tmp_path)
    batch = next(made.batches(0, 1))
    made.check(batch)
    object_ = next(one for one in batch.objects if len(one))
    object_.labels[0] = 7
    with pytest.raises(DataError, match=r"0\.\.6.*to 7|labels from \d to 7"):
        made.check(batch)
    object_.labels[0] = 0
    object_.boxes[0, 2] = 97
    with pytest.raises(DataError, match="96x96"):
        made.check(batch)


def started(made: Detect, cache: Path) -> tuple[dict[str, torch.Tensor], str]:
    """Return the weights that a training begins with, and what is said of them."""
    begun = task(made, cache)
    assert made.start is not None
    said = begun.load_start(made.start, None)
    return begun.model.state_dict(), said


def test_a_detector_goes_on_from_a_run_at_a_step(trained: Callable, tmp_path: Path, shared_cache: Path) -> None:
    trained(recipe("train.evaluate_every=1"))
    folder = tmp_path / "run"
    last = load_checkpoint(folder / LAST)
    earlier = type(last)(
        {"model": {name: tensor + 1 for name, tensor in last.weights().items()}}, last.facts | {"step": 1}
    )
    save_checkpoint(folder / BEST, earlier)
    for step, expected in ((2, last), (1, earlier)):
        made = recipe(f"start.run={folder}", f"start.step={step}")
        found, said = started(made, shared_cache)
        taken = {name: tensor for name, tensor in expected.weights().items() if not name.endswith("classes.graph")}
        assert all(torch.equal(found[name], tensor) for name, tensor in taken.items())
        assert f"at step {step}" in said
    with pytest.raises(CheckpointError) as refused:
        started(recipe(f"start.run={folder}", "start.step=7"), shared_cache)
    assert "last.safetensors of step 2, best.safetensors of step 1" in str(refused.value)
    with pytest.raises(CheckpointError, match="no file"):
        started(recipe(f"start.run={tmp_path / 'absent'}"), shared_cache)


def test_heads_are_kept_or_begin_anew(trained: Callable, tmp_path: Path, shared_cache: Path) -> None:
    trained(recipe())
    weights = load_checkpoint(tmp_path / "run" / LAST).weights()
    start = f"start.run={tmp_path / 'run'}"
    fresh, _ = started(recipe(start, "start.heads=retrain"), shared_cache)
    differing = {name for name, one in weights.items() if not torch.equal(fresh[name], one)}
    assert differing
    assert all(name.startswith(("stages.heads.", "mask_predictor.")) for name in differing)
    others = on_files(tmp_path / "set", [1, 1], [1], start)
    with pytest.raises(CheckpointError, match=r"7 \(ring, .*\); data: 2 \(odd, even\)"):
        started(others, shared_cache)
    started(override(others, ["start.heads=retrain"]), shared_cache)
    with pytest.raises(CheckpointError, match=r"backbone|stages"):
        started(recipe(start, "model.backbone.width=5"), shared_cache)


def test_the_weights_that_a_run_starts_from_are_part_of_what_it_reads(trained: Callable, tmp_path: Path) -> None:
    trained(recipe())
    made = recipe(f"start.run={tmp_path / 'run'}")
    assert made.start is not None
    before = made.start.mark()
    assert before
    saved = load_checkpoint(tmp_path / "run" / LAST)
    changed = {name: one + 1 for name, one in saved.weights().items()}
    save_checkpoint(tmp_path / "run" / LAST, type(saved)({"model": changed}, saved.facts))
    assert made.start.mark() != before


@pytest.mark.parametrize(
    ("name", "thresholds", "boxes"),
    [("ap01", (0.01,), None), ("ap50@1000", (0.5,), 1000), ("ap75", (0.75,), None)],
)
def test_protocols_are_overlaps_and_perhaps_numbers_of_boxes(
    name: str, thresholds: tuple[float, ...], boxes: int | None
) -> None:
    found = detection_protocol(name)
    assert (found.thresholds, found.boxes, found.by_size) == (thresholds, boxes, False)
    assert detection_protocol("coco@64").by_size
    assert len(detection_protocol("coco").thresholds) == 10


@pytest.mark.parametrize("name", ["ap00", "ap5", "ap50@0", "AP50", "coco@", "iou"])
def test_what_is_no_protocol_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="ap50@1000"):
        detection_protocol(name)


def test_more_boxes_in_testing_are_a_protocol_of_their_own(tmp_path: Path) -> None:
    made, counts = task(recipe("protocols=[ap50@5]"), tmp_path), []
    stages: Any = made.model.stages
    stages.register_forward_hook(lambda module, inputs, output: counts.extend(inputs[3].counts))
    made.evaluate(made.model.eval(), "val", "ap50@5")
    assert counts == [5, 5, 5]


def test_boxes_alone_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"model\.masks=null"):
        load_recipe("faster_rcnn_blood_cells", ["model.masks=true"])
    boxes = on_files(tmp_path / "set", [1, 1], [1])
    tree = json.loads((tmp_path / "set" / "train.json").read_text())
    for one in tree["annotations"]:
        del one["segmentation"]
    (tmp_path / "set" / "train.json").write_text(json.dumps(tree))
    with pytest.raises(DataError, match=r"2 of 3 objects have a box alone: train\.json: train0\.png annotation 1"):
        task(boxes, tmp_path)
    task(override(boxes, ["model.masks=null"]), tmp_path)


@pytest.mark.slow
def test_two_processes_score_every_image_once_and_as_one_does(
    tmp_path: Path, run_on_two: Callable[[Path, Path], None]
) -> None:
    run_on_two(PROCESS, tmp_path)
    told = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2)]
    assert told[0]["rows"] == [0, 2, 4] * 2
    assert told[1]["rows"] == [1, 3] * 2
    assert told[0]["scores"] == told[1]["scores"]
    alone = task(recipe("data.train=8", "data.val=5", "train.batch=4"), tmp_path)
    alone.model.load_state_dict(load_checkpoint(tmp_path / "run" / LAST).weights())
    for protocol in ("ap50", "ap01"):
        expected = alone.evaluate(alone.model.eval(), "val", protocol)
        found = {name: told[0]["scores"][f"val/{protocol}/{name}"] for name in expected}
        assert found == pytest.approx(expected, abs=1e-6)
        items = read_items(tmp_path / "run", "val", protocol)
        assert items is not None
        assert len(items.items) == 5  # each once, whichever process scored it
        assert items.values["image_AP"].mean() == pytest.approx(found["image_AP"], abs=1e-4)
