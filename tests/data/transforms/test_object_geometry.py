"""Cuts, large-scale jitter, mosaic and copy-paste of objects: against torchvision and pixel by pixel."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ablata.data.detection.rle import tight_box
from ablata.data.transforms.copy_paste import CopyPaste
from ablata.data.transforms.mosaic import Mosaic
from ablata.data.transforms.object_geometry import cut
from ablata.data.transforms.scale_jitter import ScaleJitter
from ablata.structures.detection import Objects


def image(seed: int, height: int = 60, width: int = 80, count: int = 4) -> tuple[np.ndarray, Objects]:
    """Return an image whose pixels of object n have the value 10 * seed + n + 1, with an ignored corner."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    masks = torch.zeros(count, height, width, dtype=torch.bool)
    for row in range(count):
        top, left = int(random.integers(height - 20)), int(random.integers(width - 20))
        masks[:, top : top + 14, left : left + 18] = False
        masks[row, top : top + 14, left : left + 18] = True
        pixels[top : top + 14, left : left + 18] = 10 * seed + row + 1
    masks = masks[masks.any((1, 2))]
    boxes = torch.tensor([tight_box(mask.numpy()) for mask in masks], dtype=torch.float32)
    labels = torch.tensor([int(pixels[mask.numpy()][0, 0]) for mask in masks])
    crowd = torch.zeros(len(masks), dtype=torch.bool)
    return pixels, Objects(boxes, labels, masks, torch.arange(len(masks)), crowd, torch.tensor([[0.0, 0, 9, 9]]))


def assert_whole(pixels: np.ndarray, objects: Objects) -> None:
    """Check that every object's mask lies on its own pixels, and its box around the mask."""
    assert isinstance(objects.masks, Tensor)
    assert objects.masks.shape[1:] == pixels.shape[:2]
    for mask, box, label in zip(objects.masks.numpy(), objects.boxes.tolist(), objects.labels.tolist(), strict=True):
        assert set(np.unique(pixels[mask])) == {label}
        assert tuple(box) == tight_box(mask)


def test_a_cut_is_torchvisions_crop_and_what_is_hardly_seen_is_ignored() -> None:
    for seed in range(1, 9):
        pixels, objects = image(seed)
        part, found = cut(pixels, objects, 10, 20, 30, 35, 0.0)
        assert_whole(part, found)
        assert isinstance(objects.masks, Tensor)
        masks = v2.functional.crop(tv_tensors.Mask(objects.masks), 10, 20, 30, 35)
        assert torch.equal(found.masks, masks[masks.any((1, 2))])
        alone = Objects(objects.boxes, objects.labels, None, objects.ids, objects.crowd)
        box_form = tv_tensors.BoundingBoxes(objects.boxes, format="XYXY", canvas_size=pixels.shape[:2])
        wanted = v2.functional.crop(box_form, 10, 20, 30, 35).as_subclass(Tensor)
        inside = ((wanted[:, 2:] - wanted[:, :2]) >= 1).all(1)
        assert torch.equal(cut(pixels, alone, 10, 20, 30, 35, 0.0)[1].boxes, wanted[inside])
        share = masks.sum((1, 2)) / objects.masks.sum((1, 2))
        _, most = cut(pixels, objects, 10, 20, 30, 35, 0.6)
        assert torch.equal(most.labels, objects.labels[share >= 0.6])
        hidden = int(((share > 0) & (share < 0.6)).sum())
        assert (0 if most.ignored is None else len(most.ignored)) == hidden  # the corner itself is cut off


def test_a_mosaic_holds_four_images_around_its_middle() -> None:
    four = [image(seed, *size) for seed, size in enumerate([(60, 80), (80, 60), (40, 40), (90, 120)], 1)]
    four = [(np.repeat(np.repeat(pixels, 1, 0), 1, 1), objects) for pixels, objects in four]
    whole, objects = Mosaic(side=120).apply(four, (0.25, 0.75), 0.1)
    assert whole.shape == (240, 240, 3)
    middle_y, middle_x = 90, 150
    assert isinstance(objects.masks, Tensor)
    for box, label, mask in zip(objects.boxes.tolist(), objects.labels.tolist(), objects.masks, strict=True):
        seed = (label - 1) // 10
        in_top, in_left = seed in (1, 2), seed in (1, 3)
        assert box[3] <= middle_y if in_top else box[1] >= middle_y
        assert box[2] <= middle_x if in_left else box[0] >= middle_x
        assert (np.abs(whole[mask.numpy()].astype(int) - label) <= 3).mean() > 0.5  # resized edges are blended
    assert set((objects.labels - 1).div(10, rounding_mode="floor").tolist()) == {1, 2, 3, 4}
    assert objects.ids[:1].tolist() == [0]
    assert objects.ids[-1] == -1
    assert objects.ignored is not None


def test_jitter_fits_cuts_and_stays_in_its_size() -> None:
    pixels, objects = image(3)
    jitter = ScaleJitter(height=60, width=40, low=0.5, high=4.0)
    shapes = set()
    for seed in range(20):
        down, across, factor = np.random.default_rng(seed).random(3).tolist()
        part, found = jitter.apply(pixels, objects, (factor, down, across), 0.1)
        scale = (0.5 + 3.5 * factor) * 0.5
        assert part.shape[:2] == (min(60, round(60 * scale)), min(40, round(80 * scale)))
        assert not len(found) or float(found.boxes.amax(0)[2]) <= part.shape[1]
        shapes.add(part.shape)
    assert len(shapes) > 3
    with pytest.raises(ValueError, match="low <= high"):
        ScaleJitter(low=2.0, high=1.0)


def pasted(settings: dict[str, Any], seed: int, **size: int) -> tuple[np.ndarray, Objects, Objects]:
    pixels, objects = image(1)
    random = np.random.default_rng(seed)
    found = CopyPaste(**settings).apply(pixels, objects, image(2, **size), random, 0.6)
    return *found, objects


def test_pasted_objects_hide_others_whose_boxes_follow_what_remains() -> None:
    hidden = cropped = 0
    sizes: list[dict[str, int]] = [{}, {"height": 100, "width": 130}, {"height": 40, "width": 130}]
    for size, seed in itertools.product(sizes, range(15)):
        pixels, found, before = pasted({"fraction": 0.7}, seed, **size)
        assert_whole(pixels, found)
        assert isinstance(before.masks, Tensor)
        own = [label for label in found.labels.tolist() if label < 20]
        for label, mask in zip(before.labels.tolist(), before.masks.numpy(), strict=True):
            share = (pixels[mask][:, 0] == label).mean()
            assert (label in own) == (share >= 0.6)
            hidden += label not in own
            cropped += 0.6 <= share < 1
        left = sum((pixels[..., 0] == label).sum() > 0 for label in before.labels.tolist() if label not in own)
        assert found.ignored is not None
        assert len(found.ignored) == 1 + left
        assert (found.ids[found.labels >= 20] == -1).all()
    assert hidden
    assert cropped
