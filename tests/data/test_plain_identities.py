"""Plain torch data sets of identities: who searches among whom, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.plain_identities import identities
from ablata.data.reid.dataset import ReidDataset

TRAIN = [(3, 0), (3, 1), (10, 0), (10, 1)]


def built(val: Sequence[Any], train: Sequence[Any] = TRAIN, **settings: Any) -> ReidDataset:
    def cows(split: str, shade: int = 9) -> list[tuple[np.ndarray, Any]]:
        return [(np.full((20, 10), shade + row, np.uint8), said) for row, said in enumerate(items[split])]

    items = {"train": train, "val": val}
    return identities(cows, "mine.py:cows")(height=16, width=8, **settings).build(Path())


def test_the_first_camera_of_each_identity_searches_among_the_others() -> None:
    data = built([("bo", "b"), ("al", "a"), ("bo", "c"), ("al", "b"), ("cy", "a"), ("al", "a")], shade=5)
    assert list(data.classes) == ["3", "10"]
    assert data.split_labels("train").tolist() == [0, 0, 1, 1]
    seen = data.retrieval_split("val")
    assert [seen.names[one] for one in seen.identities.tolist()] == ["bo", "al", "bo", "al", "cy", "al"]
    assert seen.cameras.tolist() == [1, 0, 2, 1, 0, 0]
    assert seen.queries.tolist() == [True, True, False, False, False, True]
    assert seen.gallery.tolist() == [False, False, True, True, True, False]
    (batch,) = data.eval_loader("val", 8)
    assert batch.images.shape == (6, 3, 16, 8)


def test_a_third_value_says_which_images_search() -> None:
    data = built([(1, 0, False), (1, 1, True), (2, np.int64(0), np.bool_(True)), (2, 1, 0)])
    assert data.retrieval_split("val").queries.tolist() == [False, True, True, False]


def test_files_are_prepared_as_its_images_are(tmp_path: Path) -> None:
    def cows(split: str) -> list[tuple[Image.Image, Any]]:
        return [(image, (split + str(row // 2), row % 2)) for row in range(4)]

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    settings = identities(cows, "mine.py:cows")(height=32, width=16)
    data = settings.build(tmp_path)
    assert data.backend == settings.backend_name()
    (batch,) = data.eval_loader("val", 4)
    pixels = batch.images[0].numpy() * np.array(data.std)[:, None, None] + np.array(data.mean)[:, None, None]
    np.testing.assert_allclose(pixels * 255, settings.read_image(tmp_path / "a.png"), atol=1e-3)


def test_what_does_not_fit_is_refused(subtests: pytest.Subtests) -> None:
    for val, told in (
        ([(3, 0), (4, 1)], "must not be trained on\n  found: mine.py:cows: 3 in"),
        ([(4, 0), (5, 0)], "two cameras(.|\n)*0 of 2 images search"),
        ([(4, 0, True), (5, 0, True)], "2 of 2 images search"),
        ([(4, 0, True), (4, 1)], "or none\n  found: mine.py:cows, val: some do"),
        ([4, 5], "identity and camera\n  found: mine.py:cows, val 0: 4"),
        ([(4, 0.5)], "whole numbers or texts\n  found: mine.py:cows, val 0: \\(4, 0.5\\)"),
    ):
        with subtests.test(told), pytest.raises(DataError, match=told):
            built(val)
