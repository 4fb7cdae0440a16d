"""What a check of a re-identification folder tells: who is seen, and every file that training would refuse."""

from __future__ import annotations

from pathlib import Path

from tests.data.reid.test_identity_folder import identities

from ablata.data.reid.identity_folder import Identities
from ablata.data.reid.market1501 import Market
from ablata.data.reid.report import check_identities


def test_a_folder_of_names_is_counted_by_identity_and_camera(tmp_path: Path) -> None:
    root = identities(tmp_path / "people")
    (root / "0003_c1s1_0.jpg").write_bytes(b"no image")
    data = Identities(root=str(root), height=16, width=8)
    assert check_identities(data, tmp_path / "cache").problems == ("0003_c1s1_0.jpg: no image of a known type",)
    for camera in (1, 2):
        (root / f"0003_c{camera}s1_0.jpg").unlink()
    report = check_identities(data, tmp_path / "cache")
    assert report.problems == ()
    assert (
        report.lines()[1] == "val: 6 images of 2 identities by 2 cameras, from 2 to 4 of each: 3 to search with among 3"
    )


def test_every_fault_of_market_s_layout_is_told(tmp_path: Path) -> None:
    for folder, cameras, people in (("bounding_box_train", 2, 4), ("query", 1, 2), ("bounding_box_test", 2, 1)):
        first = 0 if folder == "bounding_box_train" else 4
        identities(tmp_path / "set" / folder, "{who:04}_c{camera}s1_00000{number}_00.jpg", people, cameras)
        for file in sorted((tmp_path / "set" / folder).iterdir(), reverse=True):
            file.rename(file.with_name(f"{int(file.name[:4]) + first:04}{file.name[4:]}"))
    data = Market(root=str(tmp_path / "set"), height=16, width=8)
    report = check_identities(data, tmp_path / "cache")
    assert report.problems == ()
    assert report.images["val"] == {"0005": 6, "0006": 2}
    assert "2 of 4 queries of val have no image by another camera in the gallery" in report.remarks
    (tmp_path / "set/query/0006_c1s1_000001_00.jpg").write_bytes(b"no image")
    (tmp_path / "set/query/who.jpg").write_bytes(b"no image")
    assert check_identities(data, tmp_path / "cache").problems == (
        "query/who.jpg: the name does not say identity and camera",
        "query/0006_c1s1_000001_00.jpg: no image of a known type",
        "query/who.jpg: no image of a known type",
    )
