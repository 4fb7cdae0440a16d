"""Which pixels become anchors: counts, kinds and groups, against the rules in words."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ablata.losses.contrastive.anchor_sampling import (
    AnchorSampling,
    OnShortClass,
    ShortClasses,
    draw_anchors,
    group_pixels,
)

CLASSES = 3


def inputs(seed: int, pixels: int = 40) -> tuple[Tensor, Tensor]:
    """Return labels [2, pixels], class 0 often, a tenth ignored, and which are rightly predicted."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])[torch.randint(7, (2, pixels), generator=generator)]
    labels = labels.masked_fill(torch.rand(2, pixels, generator=generator) < 0.1, 255)
    return labels, torch.rand(2, pixels, generator=generator) < torch.rand((), generator=generator)


def drawn(labels: Tensor, correct: Tensor, anchors: AnchorSampling) -> list[tuple[int, int, bool, int]]:
    """Return (image, class, right, pixel) of every anchor."""
    rows, counts = draw_anchors(anchors, group_pixels(labels, correct, CLASSES, 255))
    pixels = labels.shape[1]
    return [
        (row // pixels, int(labels.flatten()[row]), bool(correct.flatten()[row]), row) for row in rows[counts].tolist()
    ]


def kept_by_the_rule(hard: int, easy: int, views: int) -> tuple[int, int]:
    """The rule of the published code in words: half of each kind, and where one is short all of it."""
    if hard >= views / 2 and easy >= views / 2:
        return views // 2, views - views // 2
    return (views - easy, easy) if hard >= views / 2 else (hard, views - hard)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 9999), views=st.integers(1, 12), samples=st.integers(2, 60))
def test_classes_with_enough_pixels_give_equal_numbers_half_of_them_hard(seed: int, views: int, samples: int) -> None:
    torch.manual_seed(seed)
    labels, correct = inputs(seed)
    found = drawn(labels, correct, AnchorSampling(samples=samples, max_views=views))
    groups = [(b, c) for b in range(2) for c in range(CLASSES) if int((labels[b] == c).sum()) > views]
    each = min(samples // len(groups), views) if groups else 0
    if 0 < len(groups) <= samples:
        assert Counter(row[:2] for row in found) == dict.fromkeys(groups, each)
        for b, c in groups:
            mine = (labels[b] == c, correct[b])
            counted = [int((mine[0] & mine[1].eq(flag)).sum()) for flag in (False, True)]
            kinds = Counter(row[2] for row in found if row[:2] == (b, c))
            assert (kinds[False], kinds[True]) == kept_by_the_rule(*counted, each)
    assert len({row[3] for row in found}) == len(found) <= samples


@pytest.mark.parametrize(("few", "expected"), [("skip", {}), ("take", {0: 3, 1: 1}), ("repeat", {0: 5, 1: 5})])
def test_classes_with_too_few_pixels_are_left_out_or_give_what_they_have_or_repeat_it(
    few: OnShortClass, expected: dict[int, int]
) -> None:
    labels = torch.tensor([[0, 0, 0, 1, 255, 255]])
    found = drawn(labels, torch.zeros(1, 6, dtype=torch.bool), AnchorSampling(max_views=5, on_short_class=few))
    assert Counter(row[1] for row in found) == expected
    if few == "repeat":
        assert {row[3] for row in found} == {0, 1, 2, 3}


@pytest.mark.parametrize(("of", "classes"), [("any", {0, 1, 2}), ("one_kind", {0, 1}), ("hard", {0})])
@pytest.mark.parametrize("few", ["take", "repeat"])
def test_which_small_classes_count_can_depend_on_their_kinds(
    few: OnShortClass, of: ShortClasses, classes: set[int]
) -> None:
    labels = torch.tensor([[0, 0, 1, 1, 2, 2]])
    correct = torch.tensor([[False, False, True, True, False, True]])
    anchors = AnchorSampling(max_views=4, on_short_class=few, short_classes=of)
    assert {row[1] for row in drawn(labels, correct, anchors)} == classes
    # A class with enough pixels counts whatever its kinds.
    assert {row[1] for row in drawn(labels.repeat(1, 4), correct.repeat(1, 4), anchors)} == {0, 1, 2}


def test_more_classes_than_samples_give_one_pixel_each_of_some() -> None:
    labels = torch.arange(CLASSES).repeat(2, 10)
    found = drawn(labels, torch.ones(2, 30, dtype=torch.bool), AnchorSampling(samples=4, max_views=2))
    assert len(found) == 4
    assert len({row[:2] for row in found}) == 4


@pytest.mark.parametrize(("share", "hard"), [(0.0, 0), (0.25, 2), (1.0, 8)])
def test_the_share_of_hard_pixels_is_a_setting(share: float, hard: int) -> None:
    labels = torch.zeros(1, 100, dtype=torch.int64)
    found = drawn(labels, torch.arange(100)[None] < 50, AnchorSampling(max_views=8, hard_fraction=share))
    assert sum(not row[2] for row in found) == hard


def test_every_pixel_of_a_kind_is_as_likely() -> None:
    torch.manual_seed(0)
    labels, correct = torch.zeros(1, 12, dtype=torch.int64), torch.arange(12)[None] < 6
    seen = Counter(row[3] for _ in range(600) for row in drawn(labels, correct, AnchorSampling(max_views=4)))
    assert all(abs(seen[pixel] - 200) < 60 for pixel in range(12))


@pytest.mark.parametrize("few", ["skip", "take", "repeat"])
def test_ignored_pixels_are_never_drawn(few: OnShortClass) -> None:
    labels = torch.full((2, 30), 255)
    assert not drawn(labels, torch.ones(2, 30, dtype=torch.bool), AnchorSampling(max_views=2, on_short_class=few))
