"""Boxes that are written in another form than their format has are refused, by sizes of images and extents of masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import DataError

from .sets import HEIGHT, WIDTH, Tree, voc_object, voc_text, write_coco, write_voc

FORMS: dict[str, tuple[Callable[[float, float, float, float], list[float]], str]] = {
    "fractions": (lambda x, y, w, h: [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT], "fractions of the image"),
    "corners": (lambda x, y, w, h: [x, y, x + w, y + h], r"only when read as \[left, top, right, bottom\]"),
    "centres": (lambda x, y, w, h: [x + w / 2, y + h / 2, w, h], r"only when read as \[center x, center y"),
    "y before x": (lambda x, y, w, h: [y, x, h, w], r"only when read as \[y, x, height, width\]"),
    "corners, y before x": (lambda x, y, w, h: [y, x, y + h, x + w], r"only when read as \[top, left"),
}


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_another_form_is_refused_with_its_name(tmp_path: Path, form: str, masks: bool) -> None:
    written, named = FORMS[form]

    def change(train: Tree, val: Tree) -> None:
        for one in train["annotations"]:
            one["bbox"] = written(*one["bbox"])

    with pytest.raises(DataError, match=named):
        write_coco(tmp_path, change, masks=masks).build(tmp_path / "cache")


def test_boxes_of_another_size_of_the_images_are_refused_by_their_masks(tmp_path: Path) -> None:
    def percent(train: Tree, val: Tree) -> None:
        for one in train["annotations"]:
            x, y, wide, high = one["bbox"]
            one["bbox"] = [x / WIDTH * 100, y / HEIGHT * 100, wide / WIDTH * 100, high / HEIGHT * 100]

    told = rf"x is multiplied by {WIDTH / 100:.3g} and y by {HEIGHT / 100:.3g}"
    with pytest.raises(DataError, match=told):
        write_coco(tmp_path, percent, masks=True).build(tmp_path / "cache")


def test_boxes_in_their_own_form_are_never_taken_for_another(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for number in range(20):

        def change(train: Tree, val: Tree, odd: int = number % 3) -> None:
            """Give every object another place, and some of them a side beyond the border."""
            for place, one in enumerate(train["annotations"]):
                left, top, wide, high = (int(rng.integers(0, most)) for most in (WIDTH - 4, HEIGHT - 4, 60, 44))
                inside = (min(wide + 2, WIDTH - left), min(high + 2, HEIGHT - top))
                one["bbox"] = [left, top, *(inside if place > odd else (wide + 2, high + 2))]

        settings = write_coco(tmp_path / str(number), change, masks=False)
        found = settings.read(tmp_path / "cache").findings
        assert not [must for must in found.refused if "written as" in must and number % 3 == 0]


def test_widths_in_the_place_of_far_corners_are_refused_in_voc(tmp_path: Path) -> None:
    settings = write_voc(tmp_path)
    for place, file in enumerate(sorted((tmp_path / "Annotations").iterdir())):
        file.write_text(voc_text(voc_object(40 + place, 30, 12, 10) + voc_object(3, 20 + place, 30, 11)))
    with pytest.raises(DataError, match=r"only when read as \[x, y, width, height\]"):
        settings.build(tmp_path / "cache")


@pytest.mark.parametrize("form", ["corners", "centres", "y before x", "corners, y before x"])
def test_one_box_in_another_form_among_right_ones_is_refused_by_its_mask(tmp_path: Path, form: str) -> None:
    def change(train: Tree, val: Tree) -> None:
        one = train["annotations"][3]
        one["bbox"] = FORMS[form][0](*one["bbox"])

    with pytest.raises(DataError, match=r"but this one fits its mask only when read as \[.*\n.*2\.png annotation 4 \["):
        write_coco(tmp_path, change).build(tmp_path / "cache")


def test_one_box_without_a_mask_that_leaves_its_image_and_lies_in_it_in_another_form_is_told(tmp_path: Path) -> None:
    def change(train: Tree, val: Tree) -> None:
        train["annotations"][0]["bbox"] = [30, 20, 60, 44]
        train["annotations"][1]["bbox"] = [50, 2, 20, 20]

    settings = write_coco(tmp_path, change, masks=False)
    (told,) = (one for one in settings.build(tmp_path / "cache").notices if "far outside" in one)
    assert told == (
        "boxes that lie far outside their image, and inside it when read as [left, top, right, bottom]: train.json: "
        "1.png "
        "annotation 1 [30, 20, 60, 44]"
    )
    strict = settings.model_copy(update={"on_invalid": "refuse"})
    assert "Every box must be written as [x, y, width, height]" in strict.read(tmp_path / "cache").findings.refused


@pytest.mark.parametrize("masks", [True, False])
def test_one_box_of_fractions_among_right_ones_is_refused_and_a_pixel_is_a_box(tmp_path: Path, masks: bool) -> None:
    def change(train: Tree, val: Tree) -> None:
        train["annotations"][3]["bbox"] = [0.25, 0.5, 0.125, 0.25]

    with pytest.raises(DataError, match=r"not fractions of the image.*\n.*2\.png annotation 4 \["):
        write_coco(tmp_path / "coco", change, masks=masks).build(tmp_path / "cache")
    voc = write_voc(tmp_path / "voc", voc_text(voc_object(5, 6, 30, 40) + voc_object(0.1, 0.2, 0.4, 0.5)))
    with pytest.raises(DataError, match=r"not fractions of the image.*\n.*one\.xml object 2 \["):
        voc.build(tmp_path / "cache")

    def pixel(train: Tree, val: Tree) -> None:
        train["annotations"][3]["bbox"] = [0, 0, 1, 1]

    assert not write_coco(tmp_path / "pixel", pixel, masks=False).read(tmp_path / "cache").findings.refused


def test_boxes_a_little_looser_than_their_masks_are_right(tmp_path: Path) -> None:
    def change(train: Tree, val: Tree) -> None:
        for one in train["annotations"]:
            x, y, wide, high = one["bbox"]
            one["bbox"] = [x - 1, y, wide + 2, high + 1]

    assert not write_coco(tmp_path, change).read(tmp_path / "cache").findings.refused
