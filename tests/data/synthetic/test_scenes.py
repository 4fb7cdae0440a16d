"""Synthetic streets: what is known of an image agrees with itself, is equal everywhere and holds what was planted."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ablata.data.synthetic.scene_layout import PLACES, RELATIONS, SEMANTIC, THINGS, Relation, cooccurrence, draw_street
from ablata.data.synthetic.scenes import Scenes, Streets

_DIGEST = """
import hashlib
from ablata.data.synthetic.scenes import Streets
print(hashlib.sha256(b"".join(Streets().sample("val", row).image.tobytes() for row in range(5))).hexdigest())
"""


def test_masks_boxes_and_classes_agree() -> None:
    seen = set()
    for row in range(80):
        sample = Streets(height=48, width=80).sample("train", row)
        masks = sample.masks
        assert sample.image.shape == (48, 80, 3)
        assert masks.shape == (len(sample.boxes), 48, 80)
        assert masks.sum(axis=0).max(initial=0) <= 1
        assert sample.semantic.max() < len(SEMANTIC)
        things = sample.semantic >= SEMANTIC.index(THINGS[0])
        assert np.array_equal(masks.any(axis=0), things)
        for mask, box, kind in zip(masks, sample.boxes, sample.classes, strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert set(np.unique(sample.semantic[mask])) == {kind}
            seen.add(int(kind))
    assert seen == {SEMANTIC.index(name) for name in THINGS}


def test_the_same_row_is_the_same_image_in_another_process() -> None:
    here = hashlib.sha256(b"".join(Streets().sample("val", row).image.tobytes() for row in range(5))).hexdigest()
    there = subprocess.run([sys.executable, "-c", _DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_rows_sources_and_seeds_differ() -> None:
    images = [
        Streets(scene_seed=seed).sample(source, row).image.tobytes()
        for seed in (0, 1)
        for source in ("train", "val")
        for row in range(3)
    ]
    assert len(set(images)) == len(images)


def test_the_built_set_holds_the_samples(tmp_path: Path) -> None:
    data = Scenes(train=12, val=5).build(tmp_path)
    for batch in data.train_loader(0, 12).batches(0, 1):
        for image, label, row in zip(batch.images, batch.labels.tolist(), batch.index.tolist(), strict=True):
            sample = data.sample("train", row)
            assert np.array_equal(image.permute(1, 2, 0).numpy(), sample.image)
            assert label == sample.label
    assert data.classes == PLACES
    changed = Scenes(train=12, val=5, streets=Streets(scene_seed=1)).build(tmp_path)
    assert changed.fingerprint != data.fingerprint


def test_planted_companions_come_as_often_and_where_they_were_planted() -> None:
    relation = Relation(of="bus", adds="person", probability=0.6, dx=0.75, dy=0.05, spread=0.0)
    random = np.random.default_rng(0)
    first = companions = 0
    for _ in range(800):
        street = draw_street(random, "motorway", (relation,), 1.0)
        buses = [thing for thing in street.things if thing.name == "bus"]
        persons = [thing for thing in street.things if thing.name == "person"]
        first, companions = first + len(buses), companions + len(persons)
        offsets = [min(abs(person.x - bus.x - 0.75 * bus.height) for bus in buses) for person in persons]
        assert all(offset < 1e-9 for offset in offsets)
    assert first > 300
    assert companions / first == pytest.approx(0.6, abs=0.07)


def test_the_cooccurrence_matrix_is_that_of_the_relations() -> None:
    matrix = cooccurrence(RELATIONS)
    assert matrix[THINGS.index("light"), THINGS.index("person")] == pytest.approx(0.8)
    assert np.count_nonzero(matrix) == len(RELATIONS)
    twice = cooccurrence([Relation(of="car", adds="sign", probability=0.5, dx=1.0)] * 2)
    assert twice.max() == pytest.approx(0.75)


def test_a_linear_model_learns_the_place() -> None:
    streets = Streets(height=32, width=32)
    images, labels = [], []
    for row in range(500):
        sample = streets.sample("train", row)
        images.append(np.float32(sample.image[::2, ::2]).ravel())
        labels.append(sample.label)
    features = StandardScaler().fit_transform(np.stack(images))
    model = LogisticRegression(C=0.01, max_iter=300).fit(features[:350], labels[:350])
    assert model.score(features[350:], labels[350:]) > 0.75
