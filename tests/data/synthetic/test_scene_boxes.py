"""The planted scenes hold what they promise: looks tell nothing, company and place tell all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablata.data.detection.dataset import DetectionDataset
from ablata.data.synthetic.scene_boxes import CLASSES, PlantedScenes, SceneBoxes

RING, CROSS, BLOCK, BEAD, SEED, BESIDE, STACKED = range(len(CLASSES))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DetectionDataset:
    return SceneBoxes(train=150, val=20).build(tmp_path_factory.mktemp("scenes"))


def test_company_decides_the_class_of_discs(data: DetectionDataset) -> None:
    present = data.presence("train") > 0
    assert not (present[:, RING] & present[:, CROSS]).any()
    for company, small in ((RING, BEAD), (CROSS, SEED)):
        assert present[:, small].any()
        assert present[present[:, small], company].all()


def test_the_side_of_the_block_decides_the_class_of_squares(data: DetectionDataset) -> None:
    seen = 0
    for entry in data.entries("train"):
        labels, boxes = entry.objects.labels, entry.objects.boxes
        for kind, far, level in ((BESIDE, 0, 1), (STACKED, 1, 0)):
            for box in boxes[labels == kind]:
                (block,) = boxes[labels == BLOCK]
                apart = ((box[:2] + box[2:]) / 2 - (block[:2] + block[2:]) / 2).abs()
                half = (block[2:] - block[:2]) / 2
                assert apart[far] >= half[far] + PlantedScenes().gap
                assert apart[level] <= half[level]
                seen += 1
    assert seen > 50


def test_small_things_of_two_classes_look_alike(data: DetectionDataset) -> None:
    colors: dict[int, list[np.ndarray]] = {label: [] for label in (BEAD, SEED, BESIDE, STACKED)}
    for row, entry in enumerate(data.entries("train")):
        pixels = data.sources["train"].pixels(row)
        for label, box in zip(entry.objects.labels.tolist(), entry.objects.boxes.int().tolist(), strict=True):
            if label in colors:
                assert (box[2] - box[0], box[3] - box[1]) == (9, 9)
                colors[label].append(pixels[box[1] + 3 : box[3] - 3, box[0] + 3 : box[2] - 3].mean())
    for one, other in ((BEAD, SEED), (BESIDE, STACKED)):
        error = np.hypot(*(np.std(colors[label]) / len(colors[label]) ** 0.5 for label in (one, other)))
        assert abs(np.mean(colors[one]) - np.mean(colors[other])) < 4 * error


def test_the_place_of_a_square_tells_nothing_of_its_class() -> None:
    counts = np.zeros((2, 2, 2))
    for row in range(400):
        _, instances, labels = PlantedScenes().paint(0, row)
        for number, label in enumerate(labels, 1):
            if label >= BESIDE:
                middle = np.argwhere(instances == number).mean(0)
                # Where across is nearer to a border than down is, or the other way round, and by how much.
                near = np.abs(middle - 47.5)
                counts[int(near[1] > near[0]), int(np.abs(near[1] - near[0]) > 15), label - BESIDE] += 1
    shares = counts[..., 0] / counts.sum(2)
    assert (np.abs(shares - 0.5) < 4 * 0.5 / np.sqrt(counts.sum(2))).all()
    assert (counts.sum(2) > 50).all()


def test_without_faith_company_tells_nothing(tmp_path: Path) -> None:
    data = SceneBoxes(train=150, val=1, scenes=PlantedScenes(faith=0.0)).build(tmp_path)
    present = data.presence("train") > 0
    assert present[present[:, SEED], RING].all()


def test_images_and_splits_depend_on_their_seeds_alone(data: DetectionDataset, tmp_path: Path) -> None:
    again = SceneBoxes(train=150, val=20, minival=30).build(tmp_path)
    assert again.fingerprint == data.fingerprint
    assert [len(again.splits[name]) for name in ("train", "val", "minival")] == [120, 20, 30]
    other = SceneBoxes(train=150, val=20, scenes=PlantedScenes(scene_seed=1)).build(tmp_path)
    assert other.fingerprint != data.fingerprint
