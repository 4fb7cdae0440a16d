"""Scoring of segmenters: lists of windows, cover counts, mirror images, fusion, named columns."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from ablata.tasks.segmentation.sliding_window import (
    PROTOCOL_NAMES,
    SegmentationProtocol,
    SlidingWindow,
    named,
    scaled_size,
    score,
    starts,
)

WEIGHTS = torch.tensor([[1.0, -0.5], [-0.3, 0.8], [0.2, 0.4]], dtype=torch.float64)


def network(images: Tensor) -> Tensor:
    """Three logits of each pixel from its two channels: blind to its neighbours, so to windows and mirroring."""
    return torch.einsum("kc,bchw->bkhw", WEIGHTS, images)


def sided(images: Tensor) -> Tensor:
    """The same, plus a ramp from left to right that a mirror image turns round."""
    return network(images) + torch.linspace(0, 1, images.shape[-1], dtype=images.dtype)


def inputs(height: int = 9, width: int = 13) -> Tensor:
    return torch.randn(2, 2, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def at(windows: SlidingWindow, scale: float) -> tuple[list[int], list[int]]:
    rows, columns = (max(side, windows.size) for side in scaled_size(1024, 2048, scale))
    return starts(rows, windows.size, windows.step), starts(columns, windows.size, windows.step)


@pytest.mark.parametrize(
    ("scale", "rows", "columns"),
    [
        (0.5, [0], [0]),
        (0.75, [0], [0, 512]),
        (1.0, [0], [0, 683, 1024]),
        (1.25, [0, 256], [0, 683, 1366, 1536]),
        (1.5, [0, 512], [0, 683, 1366, 2048]),
        (1.75, [0, 683, 768], [0, 683, 1366, 2049, 2560]),
    ],
)
def test_windows_lie_where_the_worked_lists_have_them(scale: float, rows: list[int], columns: list[int]) -> None:
    assert at(SlidingWindow(size=1024, stride=2 / 3), scale) == (rows, columns)


@pytest.mark.parametrize(
    ("crop", "stride", "step"), [(1024, 2 / 3, 683), (1024, 5 / 6, 854), (960, 2 / 3, 640), (960, 5 / 6, 800)]
)
def test_a_step_is_rounded_up_but_not_for_a_rounding_error(crop: int, stride: float, step: int) -> None:
    assert SlidingWindow(size=crop, stride=stride).step == step


@given(crop=st.integers(1, 40), more=st.integers(0, 90), share=st.floats(0.05, 1))
def test_windows_leave_no_gap_and_end_at_the_border(crop: int, more: int, share: float) -> None:
    begins = starts(crop + more, crop, SlidingWindow(size=crop, stride=share).step)
    assert begins[0] == 0
    assert begins[-1] == more
    assert all(0 < after - before <= crop for before, after in itertools.pairwise(begins))


def test_sizes_are_rounded_up_to_a_multiple_or_left() -> None:
    assert scaled_size(713, 713, 0.75) == (534, 534)
    assert scaled_size(713, 713, 0.75, 32) == (544, 544)
    assert scaled_size(1024, 2048, 0.5, 32) == (512, 1024)


@pytest.mark.parametrize("windows", [SlidingWindow(size=5), SlidingWindow(size=11, stride=0.5), SlidingWindow(size=40)])
@pytest.mark.parametrize("padding", ["zeros", "none"])
def test_divided_windows_of_a_network_blind_to_neighbours_are_the_whole_image(
    windows: SlidingWindow, padding: str
) -> None:
    windows = windows.model_copy(update={"padding": padding, "average": True})
    protocol = SegmentationProtocol(sliding_window=windows, fusion="logits")
    torch.testing.assert_close(score(network, inputs(), protocol), network(inputs()))


def test_undivided_windows_weigh_pixels_by_their_cover() -> None:
    windows = SlidingWindow(size=9, stride=2 / 3)
    found = score(network, inputs(), SegmentationProtocol(sliding_window=windows, fusion="softmax"))
    cover = torch.zeros(13, dtype=torch.float64)
    for first in starts(13, 9, 6):
        cover[first : first + 9] += 1
    assert cover.max() == 2
    torch.testing.assert_close(found, network(inputs()).softmax(1) * cover)


def test_padding_is_zeros_around_the_middle() -> None:
    seen = []
    protocol = SegmentationProtocol(sliding_window=SlidingWindow(size=14))
    score(lambda images: seen.append(images) or network(images), inputs(), protocol)
    assert [view.shape[-2:] for view in seen] == [(14, 14)]
    torch.testing.assert_close(seen[0], F.pad(inputs(), (0, 1, 2, 3)))


def test_without_padding_a_window_is_no_larger_than_the_image() -> None:
    seen = []
    protocol = SegmentationProtocol(sliding_window=SlidingWindow(size=11, padding="none"))
    score(lambda images: seen.append(images.shape[-2:]) or network(images), inputs(), protocol)
    assert seen == [(9, 11), (9, 11)]


def test_views_are_joined_as_the_fusion_says(subtests: pytest.Subtests) -> None:
    for fusion, mirror, joined in [
        ("logits", False, lambda x, y: x),
        ("logits", True, lambda x, y: x + y),
        ("softmax", False, lambda x, y: x.softmax(1)),
        ("softmax", True, lambda x, y: x.softmax(1) + y.softmax(1)),
        ("exp", False, lambda x, y: x.softmax(1)),
        ("exp", True, lambda x, y: (x.softmax(1) + y.softmax(1)).exp()),
        ("exp_logits", False, lambda x, y: x.exp()),
        ("exp_logits", True, lambda x, y: (x + y).exp()),
    ]:
        with subtests.test(fusion=fusion, mirror=mirror, joined=joined):
            images = inputs()
            expected = joined(sided(images), sided(images.flip(-1)).flip(-1))
            found = score(sided, images, SegmentationProtocol(fusion=fusion, mirror=mirror))
            torch.testing.assert_close(found, expected)


def test_exponentials_are_those_of_the_worked_sums() -> None:
    halves = {False: torch.tensor([0.6, 0.4]), True: torch.tensor([0.6, 0.4])}
    images = torch.zeros(1, 1, 1, 2)
    images[..., 1] = 1

    def fixed(view: Tensor) -> Tensor:
        return halves[bool(view[0, 0, 0, 0])].log()[None, :, None, None].expand(1, 2, 1, 2)

    found = score(fixed, images, SegmentationProtocol(fusion="exp", mirror=True))
    assert found[0, :, 0, 0].tolist() == pytest.approx([3.320, 2.226], abs=1e-3)


def test_scales_are_added_up_at_the_size_of_the_labels() -> None:
    images, size = inputs(), (20, 21)
    protocol = SegmentationProtocol(scales=(1.0, 2.0), fusion="logits", multiple=4, align_corners=False)
    seen = []
    found = score(lambda view: seen.append(view.shape[-2:]) or network(view), images, protocol, size)
    assert seen == [(12, 16), (20, 28)]

    def to(view: Tensor, wanted: tuple[int, int]) -> Tensor:
        return F.interpolate(view, size=wanted, mode="bilinear", align_corners=False)

    torch.testing.assert_close(found, sum(to(network(to(images, view)), size) for view in seen))


def test_logits_of_a_smaller_size_are_enlarged() -> None:
    def coarse(view: Tensor) -> Tensor:
        return F.avg_pool2d(network(view), 4)

    protocol = SegmentationProtocol(sliding_window=SlidingWindow(size=8), fusion="logits")
    assert score(coarse, inputs(), protocol).shape == (2, 3, 9, 13)


@pytest.mark.parametrize("name", PROTOCOL_NAMES)
def test_named_columns_score_every_image_as_alone(name: str) -> None:
    images = inputs(16, 24)
    protocol = named(name, SlidingWindow(size=16))
    both = score(sided, images, protocol)
    assert both.shape == (2, 3, 16, 24)
    torch.testing.assert_close(both[1:], score(sided, images[1:], protocol))


def test_named_columns_are_the_published_ones() -> None:
    columns = {name: named(name) for name in PROTOCOL_NAMES}
    assert [column.sliding_window is not None for column in columns.values()] == [False, True, False, True]
    assert [column.mirror for column in columns.values()] == [False, False, True, True]
    assert [column.multiple for column in columns.values()] == [32, 1, 32, 1]
    assert [len(column.scales) for column in columns.values()] == [1, 1, 6, 6]
    assert [column.fusion for column in columns.values()] == ["softmax", "softmax", "softmax", "exp"]


def test_images_in_short_floats_are_scored_in_float32() -> None:
    def short(view: Tensor) -> Tensor:
        return network(view.double()).bfloat16()

    found = score(short, inputs().bfloat16(), SegmentationProtocol(sliding_window=SlidingWindow(size=5)))
    assert found.dtype == torch.float32


@pytest.mark.parametrize("fields", [{"scales": ()}, {"scales": (0.0,)}, {"multiple": 0}, {"fusion": "sum"}])
def test_settings_that_mean_nothing_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SegmentationProtocol(**fields)
