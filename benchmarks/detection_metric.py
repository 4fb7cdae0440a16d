"""Average precision of boxes beside pycocotools: time in turns in one process, and how far apart the numbers are.

Made truth and detections: some classes are rare, one is absent, a fiftieth of the objects are crowds, half of the
detections lie near an object. Both sides begin from what an evaluation has collected and end with an average precision
of each threshold, class and size; pycocotools is given the same thresholds, sizes and number of detections.

    python benchmarks/detection_metric.py [--images 1000] [--classes 20] [--turns 3] [--output PAGE.md]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ablata.metrics.average_precision import COCO_THRESHOLDS, SIZES, DetectionScores
from ablata.records.fingerprint import environment
from ablata.structures.detection import Detections, Objects

HEIGHT, WIDTH, MOST = 480, 640, 100
AREAS = [[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]]
PROTOCOLS = {"0.01": (0.01,), "0.5": (0.5,), "0.50 to 0.95 (COCO)": COCO_THRESHOLDS}
Image = tuple[tuple[int, int], Objects]


def made(images: int, classes: int, seed: int = 0) -> tuple[list[Image], list[Detections]]:
    """Return the truth and the detections of every image: about 7 objects and 50 detections on each."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, classes + 1)
    shares[-1] = 0
    shares /= shares.sum()
    truth, found, first = [], [], 0
    for _ in range(images):
        count = int(random.integers(0, 15))
        labels, boxes = random.choice(classes, count, p=shares), _boxes(random, count)
        crowd = random.random(count) < 0.02
        ids = np.arange(first, first + count)
        first += count
        parts = (torch.from_numpy(part) for part in (boxes.astype(np.float32), labels, ids, crowd))
        box, label, number, many = parts
        truth.append(((HEIGHT, WIDTH), Objects(box, label, None, number, many)))
        found.append(_detections(random, boxes, labels, classes))
    return truth, found


def _boxes(random: np.random.Generator, count: int) -> np.ndarray:
    """Return float64 [count, 4], sides from 8 pixels to a third of the image, small ones more often."""
    sides = 8 * (min(HEIGHT, WIDTH) / 24) ** random.random((count, 2))
    corner = random.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - sides)
    return np.concatenate([corner, corner + sides], axis=1)


def _detections(random: np.random.Generator, boxes: np.ndarray, labels: np.ndarray, classes: int) -> Detections:
    """Return detections, the surest first: moved copies of the objects, mostly of their class, and others anywhere."""
    total = int(random.integers(0, MOST + 1))
    near = random.random(total) < (0.5 if len(boxes) else 0.0)
    source = random.integers(0, max(len(boxes), 1), total)
    found, guesses = _boxes(random, total), random.integers(0, classes, total)
    if len(boxes):
        moved = boxes[source] + random.normal(0, 6, (total, 4))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        found = np.where(near[:, None], moved, found)
        guesses = np.where(near & (random.random(total) < 0.8), labels[source], guesses)
    scores = np.round(random.beta(1 + 2 * near, 2), 3)
    order = np.argsort(-scores, kind="stable")
    columns = (found.astype(np.float32), guesses, scores.astype(np.float32))
    box, label, score = (torch.from_numpy(np.ascontiguousarray(column[order])) for column in columns)
    return Detections(box, label, score)


def collected(truth: list[Image], found: list[Detections], classes: int) -> DetectionScores:
    """Return the scores with every detection in them."""
    scores = DetectionScores(classes, truth)
    for number, one in enumerate(found):
        scores.update(number, one)
    return scores


def by_us(scores: DetectionScores, thresholds: tuple[float, ...]) -> np.ndarray:
    """Return float64 [T, K, 4] in percent, nan where there is no object."""
    return scores.score("box", thresholds, MOST).values


def by_pycocotools(
    truth: dict[str, Any], rows: list[dict[str, Any]], thresholds: tuple[float, ...], classes: int
) -> np.ndarray:
    """Return the same as `by_us`."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        known.dataset = truth
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(rows), "bbox")
        evaluation.params.iouThrs = np.array(thresholds)
        evaluation.params.maxDets = [MOST]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = AREAS, list(SIZES)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"].reshape(len(thresholds), -1, classes, len(SIZES)).mean(axis=1)
    values: np.ndarray = np.where(precision < 0, np.nan, 100 * precision)
    return values


def coco_forms(truth: list[Image], scores: DetectionScores, classes: int) -> tuple[dict[str, Any], list[Any]]:
    """Return truth and detections as COCO's JSON has them."""
    annotations: list[dict[str, Any]] = []
    for number, (_, objects) in enumerate(truth):
        columns = (objects.boxes.double().tolist(), objects.labels.tolist(), objects.crowd.tolist())
        for (left, top, right, bottom), label, crowd in zip(*columns, strict=True):
            sides = (right - left, bottom - top)
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label, "iscrowd": int(crowd),
                 "bbox": [left, top, *sides], "area": sides[0] * sides[1]}
            )  # fmt: skip
    images = [{"id": number, "height": HEIGHT, "width": WIDTH} for number in range(len(truth))]
    categories = [{"id": label, "name": str(label)} for label in range(classes)]
    rows = [
        {"image_id": image, "category_id": label, "score": score, "bbox": [left, top, right - left, bottom - top]}
        for image, label, score, left, top, right, bottom, _ in scores.rows()
    ]
    return {"images": images, "annotations": annotations, "categories": categories, "info": {}}, rows


def main() -> None:
    """Measure, compare and print a Markdown page; refuse numbers that are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    truth, found = made(asked.images, asked.classes)
    scores = collected(truth, found, asked.classes)
    tree, rows = coco_forms(truth, scores, asked.classes)
    lines, apart = [], 0.0
    by_us(scores, (0.5,))  # the first call loads its library
    for name, thresholds in PROTOCOLS.items():
        times: list[tuple[float, float]] = []
        for _ in range(asked.turns):
            begun = time.perf_counter()
            ours = by_us(scores, thresholds)
            between = time.perf_counter()
            theirs = by_pycocotools(tree, [dict(row) for row in rows], thresholds, asked.classes)
            times.append((between - begun, time.perf_counter() - between))
        if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
            raise SystemExit(f"{name}: the two leave out different classes")
        differ = float(np.nanmax(np.abs(ours - theirs)))
        apart = max(apart, differ)
        mine, other = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(slow / quick for quick, slow in times)
        lines.append(f"| {name} | {mine:.2f} s | {other:.2f} s | **{ratio:.1f}** | {differ:.1e} |")
    page = report(asked, len(tree["annotations"]), len(rows), lines)
    print(page)
    if apart > 1e-9:
        raise SystemExit(f"average precisions are up to {apart:.1e} percent apart")
    if asked.output:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(page)


def report(asked: argparse.Namespace, objects: int, detections: int, lines: list[str]) -> str:
    """Return the page."""
    here = environment()
    return "\n".join(
        [
            "# Average precision beside pycocotools",
            "",
            f"{datetime.date.today()}, {here['processor']}, {here['cores']} cores. "
            f"Command: `python benchmarks/detection_metric.py --turns {asked.turns}`: {asked.images:,} images, "
            f"{asked.classes} classes, {objects:,} objects, {detections:,} detections; medians over turns in one "
            "process, ratios within a turn.",
            "",
            "| overlaps | ours | pycocotools | times as fast | largest difference, percent |",
            "|---|---|---|---|---|",
            *lines,
            "",
            "The differences are over every threshold, class and size; classes without an object are left out by both.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
