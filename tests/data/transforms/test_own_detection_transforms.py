"""Own augmentation of images with their objects: a callable in the manner of torchvision's transforms v2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from ablata.base.errors import SettingsError
from ablata.data.transforms.object_geometry import horizontal_flip
from ablata.data.transforms.plain import PlainTransform, transform, transform_objects
from ablata.structures.detection import Objects

HEIGHT, WIDTH = 20, 30


def settings(thing: Any) -> PlainTransform:
    return transform(thing, "mine.py:thing")()


def flipped(image: Any, target: Any) -> Any:
    return v2.RandomHorizontalFlip(p=1)(image, target)


def cropped(image: Any, target: Any) -> Any:
    return v2.functional.crop(image, 0, 0, 10, 12), {
        name: v2.functional.crop(value, 0, 0, 10, 12) if name != "labels" else value for name, value in target.items()
    }


def drawn(image: Any, target: Any) -> Any:
    return v2.RandomAffine(20, translate=(0.2, 0.2))(image, target)


def objects() -> tuple[torch.Tensor, Objects]:
    image = torch.randint(256, (3, HEIGHT, WIDTH), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[1.0, 2, 8, 9], [20, 4, 29, 18]])
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist(), strict=True):
        mask[top:bottom, left:right] = True
    return image, Objects(
        boxes,
        torch.tensor([2, 0]),
        masks,
        torch.arange(2),
        torch.zeros(2, dtype=torch.bool),
        torch.tensor([[0.0, 0, 5, 5]]),
    )


def test_a_flip_by_torchvision_is_our_flip() -> None:
    image, given = objects()
    pixels, found = transform_objects(settings(flipped), image, given, seed=0, step=0, row=0)
    wanted, ours = horizontal_flip(image.permute(1, 2, 0).numpy(), given, torch.arange(3))
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), wanted)
    assert torch.equal(found.boxes, ours.boxes)
    assert torch.equal(found.labels, ours.labels)
    assert found.ignored is not None
    assert ours.ignored is not None
    assert torch.equal(found.ignored, ours.ignored)
    assert isinstance(found.masks, torch.Tensor)
    assert isinstance(ours.masks, torch.Tensor)
    assert torch.equal(found.masks, ours.masks)


def test_objects_that_leave_the_image_are_dropped_with_labels_and_masks() -> None:
    image, given = objects()
    pixels, found = transform_objects(settings(cropped), image, given, seed=0, step=0, row=0)
    assert pixels.shape == (3, 10, 12)
    assert found.boxes.tolist() == [[1, 2, 8, 9]]
    assert found.labels.tolist() == [2]
    assert found.masks is not None
    assert found.masks.shape == (1, 10, 12)


def test_what_is_drawn_follows_from_seed_step_and_row() -> None:
    image, given = objects()

    def boxes(seed: int, step: int, row: int) -> list[Any]:
        return transform_objects(settings(drawn), image, given, seed, step, row)[1].boxes.tolist()

    first = boxes(0, 0, 0)
    assert boxes(0, 0, 0) == first
    assert all(boxes(*other) != first for other in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))


def test_what_is_no_image_with_its_target_is_refused() -> None:
    image, given = objects()
    for wrong in (
        lambda image, target: image,
        lambda image, target: (image.float(), target),
        lambda image, target: (image, {"boxes": target["boxes"]}),
        lambda image, target: (image, target | {"labels": target["labels"][:1]}),
        lambda image, target: (image[:, :5], target),
    ):
        with pytest.raises(SettingsError, match="uint8 image"):
            transform_objects(settings(wrong), image, given, seed=0, step=0, row=0)
