"""What a run shows: read as it was written, without what is gone, and refused where the list is damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablata.base.errors import RecordError
from ablata.records.run_folder.gallery import Gallery, GalleryGroup, ShownImage, read_gallery, write_gallery

JPEG = b"\xff\xd8\xff\xe0 image "
SHOWN = Gallery(
    "val",
    "ss",
    "iou",
    (("road", 81.5), ("sign", None)),
    tuple(ShownImage(f"alt {number}", f"caption {number}", JPEG + bytes([number])) for number in range(2)),
    JPEG,
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    assert read_gallery(tmp_path) is None
    write_gallery(tmp_path, SHOWN)
    assert read_gallery(tmp_path) == SHOWN


def test_a_class_without_a_finite_score_has_none(tmp_path: Path) -> None:
    write_gallery(tmp_path, replace(SHOWN, classes=(("road", float("nan")),)))
    found = read_gallery(tmp_path)
    assert found is not None
    assert found.classes == (("road", None),)


def test_an_image_that_is_gone_or_no_jpeg_is_left_out(tmp_path: Path) -> None:
    write_gallery(tmp_path, SHOWN)
    (tmp_path / "shown" / "image-0.jpg").write_bytes(b"<script>")
    (tmp_path / "shown" / "key.jpg").unlink()
    assert read_gallery(tmp_path) == replace(SHOWN, images=SHOWN.images[1:], key=None)


def test_groups_of_images_and_drawings_are_read_again_without_what_is_none(tmp_path: Path) -> None:
    graph = ShownImage("graph", "which", b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    groups = (GalleryGroup("Graph", "all", (graph,)), GalleryGroup("Looks", "boxes", SHOWN.images))
    write_gallery(tmp_path, replace(SHOWN, caption="left, right", groups=groups))
    assert read_gallery(tmp_path) == replace(SHOWN, caption="left, right", groups=groups)
    (tmp_path / "shown" / "group-0-0.svg").write_bytes(b"<script>alert(1)</script>")
    (tmp_path / "shown" / "group-1-1.jpg").unlink()
    found = read_gallery(tmp_path)
    assert found is not None
    assert [len(group.images) for group in found.groups] == [0, 1]


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', json.dumps({"format": 9})])
def test_a_damaged_or_newer_list_is_refused_by_name(text: str, tmp_path: Path) -> None:
    write_gallery(tmp_path, SHOWN)
    (tmp_path / "shown" / "shown.json").write_text(text)
    with pytest.raises(RecordError, match=r"shown\.json"):
        read_gallery(tmp_path)
