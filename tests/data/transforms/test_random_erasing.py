"""Erasing and lighting: what is covered and added, how often, and that a step alone decides it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ablata.base.errors import DataError
from ablata.data.transforms.classification import Augment, ImageAugmenter
from ablata.data.transforms.color_jitter import draw_pca_lighting
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.random_erasing import RandomErasing, draw_boxes
from ablata.structures.batch import ImageBatch, Rows

PLAIN = Normalizer((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))


def batch(rows: int = 12, value: int = 200) -> ImageBatch:
    index = torch.arange(rows)
    return ImageBatch(torch.full((rows, 3, 30, 40), value, dtype=torch.uint8), index % 3, index, Rows(0, rows))


def seen(augment: Augment, given: ImageBatch, epoch: int = 0, step: int = 4) -> torch.Tensor:
    return ImageAugmenter(augment, 3, PLAIN, (30, 40))(given, step, epoch).images


def test_boxes_have_the_area_and_the_shape_asked_for_and_lie_inside() -> None:
    erase = RandomErasing(probability=0.3, area=(0.05, 0.2), aspect=(0.5, 2))
    place = draw_boxes(0, erase, Rows(0, 5000), 5000, (200, 300)).place[:, 0]
    sides = place[:, 2:] - place[:, :2]
    erased = sides.prod(1) > 0
    assert erased.mean() == pytest.approx(0.3, abs=0.03)
    share, aspect = sides[erased].prod(1) / 60_000, sides[erased, 0] / sides[erased, 1]
    assert (share.min() >= 0.049, share.max() <= 0.201) == (True, True)
    assert (aspect.min() >= 0.48, aspect.max() <= 2.05) == (True, True)
    assert share.mean() == pytest.approx(0.125, abs=0.005)
    assert np.log(aspect).mean() == pytest.approx(0, abs=0.05)
    assert (place.min() >= 0, (place[:, 2:] <= (200, 300)).all()) == (True, True)


def test_several_boxes_share_the_area() -> None:
    place = draw_boxes(0, RandomErasing(probability=1, area=(0.3, 0.3), count=3), Rows(0, 900), 900, (200, 200)).place
    areas = (place[..., 2:] - place[..., :2]).prod(-1)
    boxes = (areas > 0).sum(1)
    assert np.bincount(boxes, minlength=4)[1:].min() > 200
    assert areas.sum(1) == pytest.approx(np.full(900, 0.3 * 40_000), rel=0.05)


def test_a_box_holds_the_mean_one_color_or_noise() -> None:
    for fill in ("const", "rand", "pixel"):
        images = seen(Augment(erase=RandomErasing(probability=1, fill=fill)), batch())
        for image in images:
            inside = image[:, (image != 200).any(0)]
            assert inside.numel() > 0
            if fill == "const":
                assert not inside.any()
            elif fill == "rand":
                assert torch.equal(inside, inside[:, :1].expand_as(inside))
            else:
                assert inside.unique().numel() > inside.numel() / 2


@pytest.mark.parametrize("fill", ["rand", "pixel"])
def test_a_step_erases_alike_on_any_share_of_the_rows(fill: str) -> None:
    augment = Augment(erase=RandomErasing(probability=0.7, fill=fill, count=2), lighting=0.1)
    whole = batch()
    halves = [seen(augment, whole.narrow(start, start + 6)) for start in (0, 6)]
    assert torch.equal(seen(augment, whole), torch.cat(halves))
    assert not torch.equal(seen(augment, whole), seen(augment, whole, step=5))


def test_erasing_ends_with_its_last_epoch() -> None:
    augment = Augment(erase=RandomErasing(probability=1, until_epoch=2))
    assert not torch.equal(seen(augment, batch(), epoch=1), batch().images.float())
    assert torch.equal(seen(augment, batch(), epoch=2), batch().images.float())


def test_bounds_out_of_order_are_refused() -> None:
    for fields in ({"area": (0.3, 0.1)}, {"area": (0.1, 1.5)}, {"aspect": (2, 1)}):
        with pytest.raises(ValidationError, match="must hold"):
            RandomErasing(**fields)


def test_lighting_adds_one_color_with_the_published_spread() -> None:
    shifts = draw_pca_lighting(torch.Generator().manual_seed(0), 200_000, 0.1).double() / 255
    values = torch.tensor([0.2175, 0.0188, 0.0045], dtype=torch.float64)
    vectors = torch.tensor(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], dtype=torch.float64
    )
    expected = vectors @ torch.diag((0.1 * values) ** 2) @ vectors.T
    torch.testing.assert_close(torch.cov(shifts.T), expected, rtol=0.02, atol=1e-7)
    images = seen(Augment(lighting=0.1), batch())
    assert torch.equal(images, images[:, :, :1, :1].expand_as(images))
    assert images.unique().numel() == 36


def test_lighting_of_grey_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.augment\.lighting=0\.1 for images of 1 channel"):
        ImageAugmenter(Augment(lighting=0.1), 0, Normalizer((0,), (1,)), (30, 40))
