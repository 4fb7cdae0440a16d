"""Synthetic persons: equal everywhere, what a person keeps and a camera changes, two domains that share nobody."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ablata.data.synthetic.person_appearance import Domain, draw_appearance
from ablata.data.synthetic.person_paint import draw_camera, draw_shot, paint_person
from ablata.data.synthetic.persons import Persons

SMALL = Persons(train=6, val=4, cameras=3, images=2)
DOMAINS: tuple[Domain, ...] = ("winter", "summer")

_DIGEST = """
from pathlib import Path
from ablata.data.synthetic.persons import Persons
print(Persons(train=6, val=4, cameras=3, images=2).build(Path({cache!r})).fingerprint)
"""


def test_images_are_the_same_in_another_process(tmp_path: Path) -> None:
    here = SMALL.build(tmp_path / "here").fingerprint
    code = _DIGEST.format(cache=str(tmp_path / "there"))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert here == there.stdout.strip()


def test_everything_that_makes_the_images_is_in_the_fingerprint(tmp_path: Path) -> None:
    changes = [
        {}, {"domain": "summer"}, {"scene_seed": 1}, {"cameras": 4}, {"images": 3}, {"occlusion": 0.9}, {"gap": 0.0},
        {"height": 66}, {"width": 34}, {"train": 7}, {"val": 5},
    ]  # fmt: skip
    found = {SMALL.model_copy(update=change).build(tmp_path).fingerprint for change in changes}
    assert len(found) == len(changes)
    again = SMALL.model_copy(update={"split_seed": 5, "minival": 2}).build(tmp_path)
    assert again.fingerprint == SMALL.build(tmp_path).fingerprint


def test_height_and_width_are_not_swapped(tmp_path: Path) -> None:
    data = SMALL.build(tmp_path)
    assert data.image_size == (64, 32)
    batch = next(data.train_loader(0, 4).batches(0, 1))
    assert batch.images.shape == (4, 3, 64, 32)
    shape = SMALL.nominal_shape()
    assert (shape.classes, shape.channels, shape.height, shape.width) == (6, 3, 64, 32)


def test_every_camera_sees_every_person_as_often_as_set(tmp_path: Path) -> None:
    sightings = SMALL.build(tmp_path).retrieval_split("val")
    pairs, counts = np.unique(
        np.stack([sightings.identities.numpy(), sightings.cameras.numpy()]), axis=1, return_counts=True
    )
    assert pairs.shape == (2, 4 * 3)
    assert set(counts) == {2}
    assert int(sightings.queries.sum()) == 4 * 3


def test_no_image_comes_twice(tmp_path: Path) -> None:
    digests = set()
    for domain in DOMAINS:
        data = SMALL.model_copy(update={"domain": domain}).build(tmp_path)
        for split in ("train", "val"):
            for batch in data.eval_loader(split, 7):
                digests |= {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in batch.images}
    assert len(digests) == 2 * (6 + 4) * 3 * 2


def test_an_image_follows_from_look_camera_and_shot_and_the_look_changes_the_person_alone() -> None:
    for domain in DOMAINS:
        look = draw_appearance(np.random.default_rng(1), domain)
        camera = draw_camera(np.random.default_rng(2), 0, 2, domain, 1.0, (64, 32))
        shot = draw_shot(np.random.default_rng(3), camera, domain, 0.5)
        images = [paint_person(look, camera, shot, (64, 32), np.random.default_rng(4)) for _ in range(2)]
        assert np.array_equal(*images)
        other = draw_appearance(np.random.default_rng(5), domain)
        changed = np.abs(paint_person(other, camera, shot, (64, 32), np.random.default_rng(4)).astype(int) - images[0])
        assert changed[:, 0].max() == 0
        assert changed[16:48].mean() > 3


def test_the_gap_is_how_far_cameras_differ_in_color() -> None:
    def spread(gap: float) -> float:
        gains = [
            draw_camera(np.random.default_rng(number), number, 4, "winter", gap, (64, 32)).gain for number in range(4)
        ]
        return float(np.std(np.log(gains), axis=0).mean())

    assert spread(0) == 0
    assert spread(2) == pytest.approx(2 * spread(1))


def test_cameras_differ_more_than_images_of_one_camera(tmp_path: Path) -> None:
    data = Persons(train=30, val=2, cameras=3, images=2, occlusion=0.0).build(tmp_path)
    images = np.concatenate([batch.images.numpy() for batch in data.eval_loader("train", 64)])
    people = images.reshape(30, 3, 2, 3, 64, 32)
    within = np.abs(people[:, :, 0] - people[:, :, 1]).mean()
    across = np.abs(people[:, 0, 0] - people[:, 1, 0]).mean()
    assert across > 1.3 * within


def test_a_person_is_nearer_to_itself_than_to_others_in_color(tmp_path: Path) -> None:
    data = Persons(train=2, val=60, occlusion=0.0, gap=0.0).build(tmp_path)
    sightings = data.retrieval_split("val")
    images = np.concatenate([batch.images.numpy() for batch in data.eval_loader("val", 64)])
    # Means of the chest and of the legs: enough to be far better than chance where cameras do not change the colours.
    parts = np.concatenate([images[:, :, 20:30, 12:20].mean((2, 3)), images[:, :, 38:48, 12:20].mean((2, 3))], axis=1)
    who, where = sightings.identities.numpy(), sightings.cameras.numpy()
    distances = np.linalg.norm(parts[:, None] - parts, axis=2)
    distances[where[:, None] == where] = np.inf
    right = (who[distances.argmin(1)] == who).mean()
    assert 5 / 60 < right < 0.8
