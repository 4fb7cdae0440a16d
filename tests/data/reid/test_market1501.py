"""The folder layout of Market-1501, made on the spot."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.crop import Backend
from ablata.data.reid.market1501 import Market

TRAIN = ("0007_c1s1_000151_01.jpg", "0007_c2s3_001351_02.jpg", "0002_c1s1_000451_03.jpg", "0002_c3s1_000551_01.png",
         "1500_c6s2_000001_00.jpg")  # fmt: skip
QUERY = ("0001_c1s1_001051_00.jpg", "0005_c4s2_000111_00.jpg")
GALLERY = ("0001_c1s1_001051_01.jpg", "0001_c2s1_001051_01.jpg", "0005_c1s1_000001_02.jpg", "0000_c1s1_000151_01.jpg",
           "0000_c5s1_000151_02.jpg", "-1_c3s2_000011_04.jpg")  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the layout with images of different sizes, each of one colour of its own, and a file that is none."""
    root, random = tmp_path / "market1501", np.random.default_rng(0)
    for folder, names in (("bounding_box_train", TRAIN), ("query", QUERY), ("bounding_box_test", GALLERY)):
        (root / folder).mkdir(parents=True)
        for name in names:
            color = random.integers(0, 256, size=3, dtype=np.uint8)
            height = int(random.integers(40, 130))
            Image.fromarray(np.tile(color, (height, height // 2, 1))).save(root / folder / name, quality=95)
    (root / "bounding_box_test" / "Thumbs.db").write_bytes(b"no image")
    return root


@pytest.fixture
def refused(root: Path, tmp_path: Path) -> Callable[[], str]:
    """Return a function that builds the set and returns the refusal."""

    def build() -> str:
        with pytest.raises(DataError) as caught:
            Market(root=str(root)).build(tmp_path / "cache")
        return str(caught.value)

    return build


def test_training_identities_are_numbered_in_the_order_of_their_names(root: Path, tmp_path: Path) -> None:
    data = Market(root=str(root)).build(tmp_path / "cache")
    assert data.classes == ("0002", "0007", "1500")
    assert data.split_labels("train").tolist() == [0, 0, 1, 1, 2]
    assert data.retrieval_split("train").cameras.tolist() == [1, 3, 1, 2, 6]


def test_queries_and_gallery_are_those_of_the_folders_without_junk(root: Path, tmp_path: Path) -> None:
    data = Market(root=str(root)).build(tmp_path / "cache")
    val = data.retrieval_split("val")
    assert val.names == ("0000", "0001", "0005")
    assert val.queries.tolist() == [True] * 2 + [False] * 5
    assert val.gallery.tolist() == [False] * 2 + [True] * 5
    assert val.identities.tolist() == [1, 2, 0, 0, 1, 1, 2]
    assert val.cameras.tolist() == [1, 4, 1, 5, 1, 2, 1]
    assert data.notices == (
        "1 image of bounding_box_test left out as junk (-1)",
        "1 file is no image and is ignored: bounding_box_test/Thumbs.db",
    )


@pytest.mark.parametrize("backend", ["torch", "pil", "opencv"])
def test_images_have_the_asked_height_and_width_and_their_own_colors(
    root: Path, tmp_path: Path, backend: Backend
) -> None:
    data = Market(root=str(root), height=48, width=20, backend=backend).build(tmp_path / "cache")
    assert data.image_size == (48, 20)
    assert data.backend.startswith(f"{backend} ")
    for batch in data.eval_loader("train", 8):
        assert batch.images.shape == (5, 3, 48, 20)
        for row, name in enumerate(sorted(TRAIN)):
            with Image.open(root / "bounding_box_train" / name) as image:
                expected = np.asarray(image.convert("RGB"))[5, 5] / 255
            found = batch.images[row].mean((1, 2)).numpy() * np.array(data.std) + np.array(data.mean)
            assert np.abs(found - expected).max() < 0.015


def test_the_resized_images_are_kept_and_follow_the_files_content(root: Path, tmp_path: Path) -> None:
    settings, cache = Market(root=str(root)), tmp_path / "cache"
    first, again = settings.build(cache), settings.build(cache)
    assert first.fingerprint == again.fingerprint
    assert len(list((cache / "decoded").iterdir())) == 2
    assert cv2.imwrite(str(root / "query" / QUERY[0]), np.full((64, 32, 3), 77, np.uint8))
    assert settings.build(cache).fingerprint != first.fingerprint
    assert len(list((cache / "decoded").iterdir())) == 3


def test_the_set_is_found_under_the_data_home_and_in_a_zip(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATA_DATA", str(tmp_path))
    found = Market().build(tmp_path / "cache").fingerprint
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        for file in root.rglob("*.*"):
            packed.write(file, file.relative_to(root.parent))
    assert Market(root=str(tmp_path / "packed.zip")).build(tmp_path / "cache").fingerprint == found


@pytest.mark.parametrize(
    "name", ["0002-c1s1-000451-03.jpg", "0002_c1s1_000451.jpg", "person.png", "2_c1s1_000451_03.jpg", "0002.jpeg"]
)
def test_a_wrong_name_is_refused_with_the_file(root: Path, refused: Callable[[], str], name: str) -> None:
    (root / "query" / name).write_bytes((root / "query" / QUERY[0]).read_bytes())
    message = refused()
    assert "must say identity and camera" in message
    assert str(root / "query" / name) in message


@pytest.mark.parametrize("folder", ["bounding_box_train", "query"])
@pytest.mark.parametrize("name", ["-1_c3s2_000011_04.jpg", "0000_c1s1_000151_01.jpg"])
def test_junk_and_distractors_are_refused_where_persons_must_be(
    root: Path, refused: Callable[[], str], folder: str, name: str
) -> None:
    (root / folder / name).write_bytes((root / "bounding_box_test" / name).read_bytes())
    message = refused()
    assert "belong into bounding_box_test alone" in message
    assert str(root / folder / name) in message


def test_a_person_of_both_halves_is_refused(root: Path, refused: Callable[[], str]) -> None:
    name = "0007_c5s1_000151_01.jpg"
    (root / "bounding_box_test" / name).write_bytes((root / "query" / QUERY[0]).read_bytes())
    message = refused()
    assert "must not be trained on" in message
    assert str(root / "bounding_box_test" / name) in message


def test_a_damaged_file_is_refused_by_name(root: Path, refused: Callable[[], str]) -> None:
    (root / "query" / QUERY[1]).write_bytes(b"\xff\xd8\xff\xe0 cut short")
    assert str(root / "query" / QUERY[1]) in refused()


def test_an_empty_folder_is_refused(root: Path, refused: Callable[[], str]) -> None:
    for file in (root / "query").iterdir():
        file.unlink()
    assert f"none in {root / 'query'}" in refused()


def test_another_layout_is_refused_with_the_one_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="bounding_box_train, bounding_box_test and query"):
        Market(root=str(tmp_path / "other")).build(tmp_path / "cache")


def test_the_nominal_shape_is_that_of_the_published_set() -> None:
    shape = Market(height=128, width=64, minival=51).nominal_shape()
    assert (shape.classes, shape.channels, shape.height, shape.width) == (700, 3, 128, 64)
