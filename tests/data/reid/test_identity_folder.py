"""One folder of images whose names say identity and camera: divided by identity, searched across cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from ablata.base.errors import DataError
from ablata.data.formats.recognize import recognize
from ablata.data.reid.identity_folder import Identities


def identities(root: Path, form: str = "{who:04}_c{camera}s1_{number}.jpg", people: int = 6, cameras: int = 2) -> Path:
    root.mkdir(parents=True)
    for who in range(1, people + 1):
        for camera in range(1, cameras + 1):
            for number in range(2):
                pixels = np.full((20, 10, 3), 20 * who + camera, np.uint8)
                Image.fromarray(pixels).save(root / form.format(who=who, camera=camera, number=number))
    return root


def test_a_folder_of_such_names_is_recognized_and_its_identities_are_divided(tmp_path: Path) -> None:
    root = identities(tmp_path / "people")
    Image.new("RGB", (10, 20)).save(root / "0000_c1s1_9.jpg")
    (found,) = recognize(str(root), tmp_path / "cache")
    assert (found.task, found.kind) == ("reidentify", "identities")
    data = Identities(root=str(root), height=16, width=8).build(tmp_path / "cache")
    assert data.sizes == {"train": 16, "val": 8}
    assert len(data.classes) == 4
    val = data.retrieval_split("val")
    assert not set(val.names) & set(data.classes)
    assert val.queries.tolist() == [True] * 4 + [False] * 4
    assert val.cameras.tolist() == [1] * 4 + [2] * 4
    assert any("1 image is called otherwise, or show nobody" in notice for notice in data.notices)
    other = Identities(root=str(root), height=16, width=8, split_seed=3).build(tmp_path / "cache")
    assert set(other.classes) != set(data.classes)


def test_other_names_are_read_by_a_pattern(tmp_path: Path) -> None:
    root = identities(tmp_path / "seals", "seal{who}-left{camera}-{number}.jpg")
    assert recognize(str(root), tmp_path / "cache") == []
    pattern = r"(?P<identity>seal\d+)-left(?P<camera>\d)"
    data = Identities(root=str(root), height=16, width=8, pattern=pattern).build(tmp_path / "cache")
    assert set(data.classes) < {f"seal{who}" for who in range(1, 7)}
    with pytest.raises(ValidationError, match="must have the groups"):
        Identities(pattern=r"(\d+)")


def test_few_identities_and_one_camera_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4 identities"):
        Identities(root=str(identities(tmp_path / "few", people=3))).build(tmp_path / "cache")
    with pytest.raises(DataError, match="two cameras"):
        Identities(root=str(identities(tmp_path / "one", cameras=1))).build(tmp_path / "cache")


def test_the_layout_of_market1501_is_no_folder_of_classes(tmp_path: Path) -> None:
    for place in ("bounding_box_train", "bounding_box_test", "query"):
        identities(tmp_path / "market" / place, "{who:04}_c{camera}s1_00000{number}_00.jpg")
    (found,) = recognize(str(tmp_path / "market"), tmp_path / "cache")
    assert (found.task, found.kind) == ("reidentify", "market")


def test_one_identity_spelled_in_two_ways_is_one_and_told(tmp_path: Path) -> None:
    root = identities(tmp_path / "people")
    for file in sorted(root.glob("0001_c2*")):
        file.rename(file.with_name(file.name[3:]))
    data = Identities(root=str(root), height=16, width=8).build(tmp_path / "cache")
    assert sum(data.sizes.values()) == 24
    assert len({*data.classes, *data.retrieval_split("val").names}) == 6
    assert "one identity, spelled in several ways: 1, 0001" in data.notices
