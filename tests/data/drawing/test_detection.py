"""Objects drawn over images: where they are, in their colours, at any size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from ablata.data.drawing import detection
from ablata.data.drawing.detection import looks_drawn, object_palette, objects_drawn
from ablata.data.drawing.panels import beside, jpeg, sized

RED, GREEN = (255, 0, 0), (0, 255, 0)
GREY = np.full((40, 60, 3), 100, dtype=np.uint8)


def test_a_mask_takes_a_share_of_its_color_and_a_box_its_border() -> None:
    mask = np.zeros((1, 40, 60), dtype=bool)
    mask[0, 20:30, 20:30] = True
    drawn = np.asarray(objects_drawn(GREY, [[10, 15, 40, 35]], [""], [RED], mask))
    assert drawn.shape == GREY.shape
    assert tuple(drawn[25, 25]) == (170, 55, 55)
    assert tuple(drawn[18, 15]) == (100, 100, 100)
    for row, column in ((15, 10), (34, 39), (15, 39), (34, 10)):
        assert tuple(drawn[row, column]) == RED
    assert tuple(drawn[35, 40]) == tuple(drawn[14, 9]) == (100, 100, 100)


def test_small_images_are_enlarged_by_a_whole_factor_with_their_boxes() -> None:
    drawn = np.asarray(objects_drawn(GREY, [[10, 15, 40, 35]], [""], [RED], width=200))
    assert drawn.shape == (120, 180, 3)
    assert tuple(drawn[45, 30]) == tuple(drawn[104, 119]) == RED


def test_the_first_object_lies_on_top() -> None:
    drawn = np.asarray(objects_drawn(GREY, [[5, 15, 30, 35]] * 2, ["", ""], [GREEN, RED]))
    assert tuple(drawn[15, 5]) == GREEN


def test_words_are_written_inside_the_image_wherever_the_box_is() -> None:
    plain = np.asarray(objects_drawn(GREY, [[50, 0, 60, 40]], [""], [RED]))
    told = np.asarray(objects_drawn(GREY, [[50, 0, 60, 40]], ["ring"], [RED]))
    assert (plain != told)[:16, 20:50].any()


def test_words_of_crowded_boxes_cover_no_other_word() -> None:
    pixels = np.full((200, 200, 3), 100, dtype=np.uint8)
    boxes = [[20 + 3 * place, 60 + 2 * place, 120 + 3 * place, 140 + 2 * place] for place in range(5)]
    corners = [tuple(map(float, box)) for box in boxes]
    colors = [RED, RED, RED, GREEN, GREEN]
    drawn: list[tuple[float, ...]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "_tag", lambda pen, place, word, color: drawn.append(place))
        objects_drawn(pixels, corners, ["cell"] * 3 + ["ring"] * 2, colors)
    assert len(drawn) >= 4
    for one, other in itertools.combinations(drawn, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_arrows_go_from_boxes_to_those_they_look_at_if_they_do_so_enough() -> None:
    boxes = [[0, 10, 10, 30], [45, 10, 55, 30]]

    def drawn(weights: list[list[float]]) -> np.ndarray:
        return np.asarray(looks_drawn(GREY, boxes, ["", ""], [RED, GREEN], np.array(weights), 60))

    nothing = drawn([[0.9, 0.02], [0, 1.0]])
    assert not (nothing[:, 12:43] != 50).any()
    there = drawn([[0.5, 0.5], [0, 1.0]])[:, 12:43]
    assert (there == RED).all(2).any()
    assert not (there == GREEN).all(2).any()
    both = drawn([[0.5, 0.5], [0.5, 0.5]])[:, 12:43]
    assert (both == RED).all(2).any()
    assert (both == GREEN).all(2).any()


def test_colors_differ_and_are_bright() -> None:
    palette = object_palette(80)
    assert len(set(palette)) == 80
    assert min(max(color) for color in palette) == 255


def test_images_are_sized_to_at_most_a_width() -> None:
    for width, expected in ((None, (60, 40)), (30, (30, 20)), (60, (60, 40)), (130, (120, 80))):
        image = sized(Image.fromarray(GREY), width)
        assert image.size == expected
        assert beside([image, image, image]).size == (3 * expected[0] + 8, expected[1])
        assert jpeg(image).startswith(b"\xff\xd8\xff")
