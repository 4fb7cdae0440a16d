"""Mosaic, jitter and copy-paste in a training: drawn from seed, epoch and row alone, never from what is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.data.detection.sets import write_coco
from torch import Tensor

from ablata.base.errors import DataError
from ablata.data.detection.dataset import DetectionDataset, ViewReader
from ablata.data.synthetic.scene_boxes import SceneBoxes
from ablata.data.transforms.copy_paste import CopyPaste
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.mosaic import Mosaic
from ablata.data.transforms.scale_jitter import ScaleJitter
from ablata.structures.detection import DetectionBatch

ALL = DetectionAugment(
    mosaic=Mosaic(side=48, probability=0.5),
    scale_jitter=ScaleJitter(height=64, width=64, low=0.5),
    copy_paste=CopyPaste(probability=0.7),
)


@pytest.fixture
def data(tmp_path: Path) -> DetectionDataset:
    return SceneBoxes(train=12, val=2, minival=4, augment=ALL).build(tmp_path)


def same(one: DetectionBatch, other: DetectionBatch) -> bool:
    tensors = [
        (left, right)
        for a, b in zip(one.objects, other.objects, strict=True)
        for left, right in ((a.boxes, b.boxes), (a.labels, b.labels), (a.masks, b.masks))
    ]
    return all(
        isinstance(left, Tensor) and isinstance(right, Tensor) and torch.equal(left, right)
        for left, right in [(one.images, other.images), *tensors]
    )


def test_a_resumed_training_sees_the_same_images(data: DetectionDataset) -> None:
    whole = list(data.train_loader(1, 2).batches(0, 8))
    for step in (1, 5):
        assert same(next(data.train_loader(1, 2).batches(step, step + 1)), whole[step])
    other = next(data.train_loader(2, 2).batches(0, 1))
    assert other.images.shape != whole[0].images.shape or not torch.equal(other.images, whole[0].images)


def test_two_processes_see_what_one_sees(data: DetectionDataset) -> None:
    one = next(data.train_loader(1, 2).batches(3, 4))
    for rank in range(2):
        own = next(data.train_loader(1, 2, rank, 2).batches(3, 4))
        assert torch.equal(own.objects[0].boxes, one.objects[rank].boxes)


def test_partners_are_trained_on_and_mixing_ends_with_its_epoch(data: DetectionDataset) -> None:
    reader = data.train_loader(1, 2).reader
    assert isinstance(reader, ViewReader)
    assert reader.draws is not None
    views = [reader.draws.view(int(row), epoch) for row in data.split("train").index for epoch in range(20)]
    others = {row for view in views if view.mosaic for row in view.mosaic.others}
    others |= {view.pasted.row for view in views if view.pasted}
    assert others == set(data.split("train").index.tolist())
    ended = ALL.model_copy(update={"mosaic": Mosaic(until_epoch=3), "copy_paste": CopyPaste(until_epoch=0)})
    draws = reader.draws.__class__(ended, 0, reader.draws.sizes, reader.draws.pool, reader.draws.with_objects)
    assert [draws.view(0, epoch).mosaic is not None for epoch in range(5)] == [True] * 3 + [False] * 2
    assert draws.view(0, 0).pasted is None


def test_masks_are_read_for_pasting_where_the_network_has_none(data: DetectionDataset) -> None:
    with_masks, without = (next(data.train_loader(1, 4, masks=masks).batches(0, 1)) for masks in (True, False))
    assert torch.equal(with_masks.images, without.images)
    assert all(objects.masks is None for objects in without.objects)
    assert [len(one) for one in without.objects] == [len(one) for one in with_masks.objects]


def test_evaluation_sees_whole_images_that_fit(data: DetectionDataset) -> None:
    batch = next(iter(data.eval_loader("val", 2)))
    assert batch.images.shape[-2:] == (64, 64)
    assert np.allclose(batch.sizes.numpy().max(1), 64)


def test_copy_paste_without_masks_is_refused_in_words(tmp_path: Path) -> None:
    settings = write_coco(tmp_path, masks=False)
    changed = settings.model_copy(update={"augment": DetectionAugment(copy_paste=CopyPaste())})
    with pytest.raises(DataError, match="Copy-paste needs a mask of every object") as caught:
        changed.build(tmp_path / "cache")
    assert "mosaic" in caught.value.do
