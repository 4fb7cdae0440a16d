"""Average precision against pycocotools, and against values worked out by hand."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ablata.data.detection.coco import ChestXray
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.penn_fudan import PennFudan
from ablata.data.detection.rle import areas, encode
from ablata.data.detection.voc import BloodCells
from ablata.metrics.average_precision import COCO_THRESHOLDS, SIZES, DetectionScores, Kind
from ablata.structures.detection import Detections, Objects, Rle, no_objects

CLASSES = 4
SIZE = (200, 240)
ROWS = {"all": 0, "small": 1, "medium": 2, "large": 3}


def boxed(random: np.random.Generator, count: int) -> np.ndarray:
    corner = random.uniform(0, 120, (count, 2))
    return np.concatenate([corner, corner + random.uniform(4, 110, (count, 2))], axis=1).clip(0, 200)


def masked(boxes: np.ndarray) -> tuple[Rle, ...]:
    masks = np.zeros((len(boxes), *SIZE), dtype=np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.astype(int), strict=True):
        mask[top : bottom + 1, left : right + 1] = 1
        mask[(top + bottom) // 2 :, (left + right) // 2 :] = 0
    return encode(masks)


def random_set(seed: int, images: int = 25) -> tuple[list[Objects], list[Detections]]:
    """Objects of the first three classes alone, some of them crowds, and detections near them and elsewhere."""
    random = np.random.default_rng(seed)
    truth, found = [], []
    for _ in range(images):
        count = int(random.integers(0, 7))
        boxes = boxed(random, count)
        labels = torch.from_numpy(random.integers(0, CLASSES - 1, count))
        truth.append(
            Objects(
                torch.from_numpy(boxes).float(),
                labels,
                masked(boxes),
                torch.arange(count),
                torch.from_numpy(random.random(count) < 0.1),
            )
        )
        near = (boxes + random.normal(0, 6, boxes.shape)).clip(0, 199)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 2)
        guessed = np.concatenate([near, boxed(random, int(random.integers(0, 9)))])
        wild = torch.from_numpy(random.integers(0, CLASSES, len(guessed) - count))
        scores = torch.from_numpy(random.random(len(guessed)).round(2)).float()
        all_labels = torch.cat([labels, wild])
        found.append(Detections(torch.from_numpy(guessed).float(), all_labels, scores, masked(guessed)))
    return truth, found


def collected(truth: list[Objects], found: list[Detections]) -> DetectionScores:
    scores = DetectionScores(CLASSES, [(SIZE, objects) for objects in truth])
    for image, detections in enumerate(found):
        scores.update(image, detections)
    return scores


def reference(
    truth: list[Objects],
    found: list[Detections],
    kind: Kind,
    thresholds: tuple[float, ...],
    most: int,
    *,
    classes: int = CLASSES,
) -> np.ndarray:
    """Return [T, K, 4] in percent, nan for what is not there, from pycocotools."""
    annotations, results = [], []
    for number, (objects, detections) in enumerate(zip(truth, found, strict=True)):
        masks = objects.masks if isinstance(objects.masks, tuple) else (None,) * len(objects)
        for box, label, crowd, mask in zip(
            objects.boxes.double().tolist(), objects.labels.tolist(), objects.crowd.tolist(), masks, strict=True
        ):
            wide, tall = box[2] - box[0], box[3] - box[1]
            annotation = {
                "id": len(annotations) + 1, "image_id": number, "category_id": label, "iscrowd": int(crowd),
                "bbox": [box[0], box[1], wide, tall], "area": float(areas([mask])[0]) if mask else wide * tall,
            }  # fmt: skip
            annotations.append(annotation | ({"segmentation": mask.as_dict()} if mask else {}))
        for box, label, score, mask in zip(
            detections.boxes.double().tolist(),
            detections.labels.tolist(),
            detections.scores.double().tolist(),
            detections.masks or (None,) * len(detections.boxes),
            strict=True,
        ):
            place = {"segmentation": mask.as_dict()} if kind == "mask" and mask else {}
            place = place or {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
            results.append({"image_id": number, "category_id": label, "score": score} | place)
    data = COCO()
    data.dataset = {
        "images": [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in range(len(truth))],
        "annotations": annotations,
        "categories": [{"id": label, "name": str(label)} for label in range(classes)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(results), "bbox" if kind == "box" else "segm")
        evaluation.params.iouThrs = np.array(thresholds)
        evaluation.params.maxDets = [most]
        evaluation.params.areaRng = [[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]]
        evaluation.params.areaRngLbl = list(SIZES)
        evaluation.evaluate()
        evaluation.accumulate()
    values = evaluation.eval["precision"][..., 0].mean(axis=1)
    return np.where(values < 0, np.nan, 100 * values)


def test_every_class_size_and_threshold_is_as_in_pycocotools(subtests: pytest.Subtests) -> None:
    for seed, kind, thresholds in itertools.product([0, 1], ["box", "mask"], [(0.01,), (0.5,), COCO_THRESHOLDS]):
        with subtests.test(thresholds=thresholds, kind=kind, seed=seed):
            truth, found = random_set(seed)
            ours = collected(truth, found).score(kind, thresholds)
            theirs = reference(truth, found, kind, thresholds, most=100)
            np.testing.assert_allclose(ours.values, theirs, rtol=0, atol=1e-9)
            assert np.isfinite(theirs).any()


def near_real(entries: Sequence[AnnotatedImage], classes: int) -> list[Detections]:
    """Return three guesses at each object: its box moved, its mask or a neighbour's, its class or another."""
    random = np.random.default_rng(0)
    found = []
    for entry in entries:
        source = np.repeat(np.arange(len(entry.objects)), 3)
        boxes = entry.objects.boxes[source].double() + torch.from_numpy(random.normal(0, 8, (len(source), 4)))
        boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        labels = entry.objects.labels[source].clone()
        wrong = torch.from_numpy(random.random(len(source)) < 0.3)
        labels[wrong] = torch.from_numpy(random.integers(0, classes, int(wrong.sum())))
        masks = entry.objects.masks
        other = random.permutation(len(entry.objects))
        chosen = np.where(random.random(len(source)) < 0.7, source, other[source])
        seen = tuple(masks[place] for place in chosen) if isinstance(masks, tuple) else None
        scores = torch.from_numpy(random.random(len(source)).round(2)).float()
        found.append(Detections(boxes.float(), labels, scores, seen))
    return found


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("data", "kinds"),
    [(ChestXray, ("box", "mask")), (PennFudan, ("box", "mask")), (BloodCells, ("box",))],
)
def test_on_real_sets_every_class_size_and_threshold_is_as_in_pycocotools(
    data: type[ChestXray | PennFudan | BloodCells], kinds: tuple[Kind, ...], data_home: Path, shared_cache: Path
) -> None:
    name = data.model_fields["kind"].default
    built = data(root=str(data_home / name)).build(shared_cache)
    entries, classes = built.entries("train"), len(built.classes)
    found = near_real(entries, classes)
    scores = DetectionScores(classes, [(entry.size, entry.objects) for entry in entries])
    for image, detections in enumerate(found):
        scores.update(image, detections)
    for kind in kinds:
        for thresholds in ((0.01,), (0.5,), COCO_THRESHOLDS):
            theirs = reference([entry.objects for entry in entries], found, kind, thresholds, most=100, classes=classes)
            np.testing.assert_allclose(scores.score(kind, thresholds).values, theirs, rtol=0, atol=1e-9)
            assert np.isfinite(theirs).any()


def test_only_the_surest_detections_count() -> None:
    truth, found = random_set(2)
    scores = collected(truth, found)
    few = scores.score("box", (0.5,), most=2).values
    np.testing.assert_allclose(few, reference(truth, found, "box", (0.5,), most=2), rtol=0, atol=1e-9)
    assert not np.allclose(few, scores.score("box", (0.5,)).values, equal_nan=True)


def test_a_miss_before_a_hit_on_one_of_two_objects_gives_a_quarter() -> None:
    boxes = torch.tensor([[0.0, 0, 50, 50], [100, 100, 150, 150]])
    truth = Objects(boxes, torch.zeros(2, dtype=torch.int64), None, torch.arange(2), torch.zeros(2, dtype=torch.bool))
    guessed = torch.tensor([[60.0, 60, 90, 90], [0, 0, 50, 50]])
    found = Detections(guessed, torch.zeros(2, dtype=torch.int64), torch.tensor([0.9, 0.8]))
    scores = DetectionScores(2, [(SIZE, truth)])
    scores.update(0, found)
    for threshold in (0.01, 0.5):
        precision = scores.score("box", (threshold,))
        assert precision.mean() == pytest.approx(25.25, abs=5e-3)
        assert math.isnan(precision.of_classes()[1])


def test_a_class_without_objects_is_left_out_of_the_mean() -> None:
    truth, found = random_set(3)
    precision = collected(truth, found).score("box", COCO_THRESHOLDS)
    by_class = precision.of_classes()
    assert math.isnan(by_class[CLASSES - 1])
    assert precision.mean() == pytest.approx(float(np.mean(by_class[: CLASSES - 1])))
    assert precision.mean(threshold=0.5) > precision.mean(threshold=0.95)


def test_without_detections_every_class_that_is_there_has_nothing() -> None:
    truth, _ = random_set(4)
    values = DetectionScores(CLASSES, [(SIZE, objects) for objects in truth]).score("box", (0.5,)).values[0, :, 0]
    assert values[: CLASSES - 1].tolist() == [0, 0, 0]
    assert math.isnan(values[CLASSES - 1])
    assert math.isnan(DetectionScores(1, [(SIZE, no_objects())]).score("box", (0.5,)).mean())


def test_joined_processes_score_like_one() -> None:
    truth, found = random_set(5)
    whole = collected(truth, found).score("mask", (0.5,))
    shares = [DetectionScores(CLASSES, [(SIZE, objects) for objects in truth]) for _ in range(2)]
    for image, detections in enumerate(found):
        shares[image % 2].update(image, detections)
    shares[0].join([share.state() for share in shares])
    np.testing.assert_array_equal(shares[0].score("mask", (0.5,)).values, whole.values)


def test_masks_cannot_be_scored_where_there_are_none() -> None:
    truth, found = random_set(6)
    bare = [Objects(one.boxes, one.labels, None, one.ids, one.crowd) for one in truth]
    with pytest.raises(ValueError, match="boxes alone"):
        collected(bare, found).score("mask", (0.5,))


def boxes_of(*rows: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).view(-1, 4)


def scored(
    truth: list[tuple[int, int, bool]], found: list[tuple[int, int, float]], classes: int = 2
) -> DetectionScores:
    """Return scores of one image, of objects (class, place, ignored) and detections (class, place, score)."""

    def at(place: int) -> tuple[float, float, float, float]:
        return (20.0 * place, 0.0, 20.0 * place + 10, 10.0)

    objects = Objects(
        boxes_of(*(at(place) for _, place, _ in truth)), torch.tensor([label for label, _, _ in truth]), None,
        torch.arange(len(truth)), torch.tensor([ignored for _, _, ignored in truth], dtype=torch.bool),
    )  # fmt: skip
    scores = DetectionScores(2, [((10, 400), objects)])
    detections = sorted(found, key=lambda one: -one[2])
    scores.update(0, Detections(
        boxes_of(*(at(place) for _, place, _ in detections)), torch.tensor([label for label, _, _ in detections]),
        torch.tensor([score for _, _, score in detections]),
    ))  # fmt: skip
    return scores


def test_a_confusion_matrix_has_missed_objects_and_false_detections_in_the_background() -> None:
    truth = [(0, 0, False), (0, 1, False), (1, 2, False), (1, 9, True)]
    found = [(0, 0, 0.9), (1, 1, 0.8), (1, 5, 0.7), (0, 9, 0.6), (1, 2, 0.1)]
    assert scored(truth, found).confusion(0.5, 0.5).tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert scored(truth, found).confusion(0.5).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_an_object_goes_to_a_detection_of_its_own_class_before_a_surer_one_of_another() -> None:
    twice = scored([(0, 0, False)], [(1, 0, 0.9), (0, 0, 0.4), (0, 0, 0.3)])
    assert twice.confusion(0.5).tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0]]


def test_average_recall_is_that_of_pycocotools() -> None:
    random = np.random.default_rng(4)
    truth, found = [], []
    for place in range(12):
        truth.append((int(random.integers(2)), place, place == 5))
        found.append((int(random.integers(2)), int(random.integers(12)), float(random.random())))
    scores = scored(truth, found)
    values = scores.score("box", (0.5, 0.75))
    reference = COCO()
    reference.dataset = scores._truth("box")
    reference.createIndex()
    rows = [
        {"image_id": row[0], "category_id": row[1], "score": row[2], "bbox": [row[3], row[4], row[5] - row[3], 10.0]}
        for row in scores.rows()
    ]
    evaluation = COCOeval(reference, reference.loadRes(rows), "bbox")
    evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5, 0.75]), [100]
    evaluation.evaluate()
    evaluation.accumulate()
    recall = evaluation.eval["recall"][:, :, 0, 0]
    np.testing.assert_allclose(values.recalls[:, :, 0], 100 * recall)
    assert values.mean_recall() == pytest.approx(100 * recall[recall >= 0].mean())


def test_precision_and_recall_without_anything_found_are_not_known_and_nothing() -> None:
    counts = scored([(0, 0, False)], [(0, 3, 0.2)]).confusion(0.5, 0.5)
    assert counts.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]
