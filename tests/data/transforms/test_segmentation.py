"""Images and labels move together, by numbers that depend on the seed, the step and the row of the global batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from ablata.data.transforms.color_jitter import ColorJitter
from ablata.data.transforms.label_map_mix import ClassMix, MosaicMix, taken
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.segmentation import Crop, JointAugment, JointAugmenter, ScaleList, ScaleRange
from ablata.structures.batch import Rows
from ablata.structures.segmentation import IGNORE, SegmentationBatch

MEAN, STD = (0.0, 0.0, 0.0), (1 / 255,) * 3
"""Constants that leave pixels as they are, so that they can be compared."""
ALL = JointAugment(
    flip=True, scale=ScaleRange(), crop=Crop(height=20, width=28), color_jitter=ColorJitter(brightness=0.4)
)


def _batch(rows: int = 6, height: int = 16, width: int = 24) -> SegmentationBatch:
    """Return images whose first channel is the label itself."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 19, (rows, height, width), dtype=torch.uint8, generator=generator)
    images = torch.randint(0, 256, (rows, 3, height, width), dtype=torch.uint8, generator=generator)
    images[:, 0] = labels
    sizes = torch.tensor([[height, width]]).repeat(rows, 1)
    return SegmentationBatch(images, labels, sizes, torch.arange(rows), Rows(0, rows))


def _augmented(settings: JointAugment, batch: SegmentationBatch, seed: int = 0, step: int = 0) -> SegmentationBatch:
    return JointAugmenter(settings, seed, Normalizer(MEAN, STD))(batch, step, 0)


def test_labels_follow_their_pixels_through_flip_and_crop() -> None:
    for size in ((10, 12), (16, 24), (20, 12), (30, 40)):
        batch = _batch()
        seen = _augmented(JointAugment(flip=True, crop=Crop(height=size[0], width=size[1])), batch)
        inside = seen.labels != IGNORE
        assert seen.labels.shape == (6, *size)
        assert seen.labels.dtype == torch.uint8
        assert torch.allclose(seen.images[:, 0][inside], seen.labels[inside].float(), atol=1e-3)
        assert torch.all(seen.images.movedim(1, -1)[~inside] == 0)
        shown = min(size[0], 16) * min(size[1], 24)
        assert inside.flatten(1).sum(1).tolist() == [shown] * 6


def test_a_scaled_image_is_the_resized_one() -> None:
    batch = _batch()
    settings = JointAugment(scale=ScaleList(values=(1.5,)), crop=Crop(height=24, width=36))
    seen = _augmented(settings, batch)
    images = functional.interpolate(batch.images.float(), size=(24, 36), mode="bilinear", align_corners=False)
    labels = functional.interpolate(batch.labels[:, None], size=(24, 36), mode="nearest-exact")[:, 0]
    assert (seen.images - images).abs().max() <= 0.51
    assert torch.equal(seen.labels, labels)


def test_whole_images_are_mirrored_with_their_labels() -> None:
    batch = _batch(rows=32)
    seen = _augmented(JointAugment(flip=True), batch)
    assert torch.allclose(seen.images[:, 0], seen.labels.float(), atol=1e-3)
    mirrored = [torch.equal(row, before.flip(-1)) for row, before in zip(seen.labels, batch.labels, strict=True)]
    same = [torch.equal(row, before) for row, before in zip(seen.labels, batch.labels, strict=True)]
    assert sum(mirrored) + sum(same) == 32
    assert 6 < sum(mirrored) < 26


def test_two_processes_see_what_one_sees() -> None:
    batch = _batch()
    whole = _augmented(ALL, batch, seed=3, step=7)
    parts = [_augmented(ALL, part, seed=3, step=7) for part in batch.chunk(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def test_numbers_depend_on_seed_and_step_alone() -> None:
    first, again = (_augmented(ALL, _batch(), seed=3, step=7) for _ in range(2))
    assert torch.equal(first.images, again.images)
    for seed, step in ((4, 7), (3, 8)):
        assert not torch.equal(_augmented(ALL, _batch(), seed, step).labels, first.labels)


def test_another_operation_changes_none_of_the_places() -> None:
    plain = ALL.model_copy(update={"color": None})
    assert torch.equal(_augmented(plain, _batch()).labels, _augmented(ALL, _batch()).labels)


def test_what_lies_beside_a_smaller_image_is_never_seen() -> None:
    batch = _batch()
    small = SegmentationBatch(batch.images, batch.labels, torch.tensor([[9, 11]]).repeat(6, 1), batch.index, batch.rows)
    other = SegmentationBatch(batch.images.clone(), batch.labels.clone(), small.sizes, batch.index, batch.rows)
    other.images[:, :, 9:], other.images[..., 11:] = 255, 255
    other.labels[:, 9:], other.labels[..., 11:] = 18, 18
    settings = JointAugment(flip=True, scale=ScaleRange(low=0.5, high=2.0), crop=Crop(height=14, width=14))
    for step in range(4):
        left, right = (_augmented(settings, either, step=step) for either in (small, other))
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.labels, right.labels)


def test_borders_are_the_mean_or_black_after_normalization() -> None:
    settings = JointAugment(crop=Crop(height=20, width=28))
    normalizer = Normalizer((0.5, 0.25, 0.75), (0.5, 0.5, 0.5))
    mean = JointAugmenter(settings, 0, normalizer)(_batch(), 0, 0)
    black = JointAugmenter(settings.model_copy(update={"border": "zero"}), 0, normalizer)(_batch(), 0, 0)
    outside = mean.labels == IGNORE
    assert torch.all(mean.images.movedim(1, -1)[outside] == 0)
    values = torch.tensor([-1.0, -0.5, -1.5]).expand(int(outside.sum()), 3)
    assert torch.allclose(black.images.movedim(1, -1)[outside], values)


def test_places_reach_every_corner() -> None:
    labels = torch.arange(16, dtype=torch.uint8).view(1, 4, 4).repeat(200, 1, 1)
    batch = SegmentationBatch(
        labels[:, None].repeat(1, 3, 1, 1), labels, torch.full((200, 2), 4), torch.arange(200), Rows(0, 200)
    )
    seen = _augmented(JointAugment(crop=Crop(height=3, width=3)), batch).labels[:, 0, 0]
    assert set(seen.tolist()) == {0, 1, 4, 5}


def test_settings_that_make_no_sense_are_refused() -> None:
    for values, message in (
        ({"scale": {"kind": "range"}}, "crop.height and crop.width"),
        ({"scale": {"kind": "range", "low": 2.0, "high": 1.0}, "crop": {"height": 4, "width": 4}}, "low <= high"),
        ({"scale": {"kind": "list", "values": ()}, "crop": {"height": 4, "width": 4}}, "at least 1 item"),
        ({"crop": {"height": 4}}, "width"),
    ):
        with pytest.raises(ValidationError, match=message):
            JointAugment.model_validate(values)


def _keyed(rows: int = 6) -> SegmentationBatch:
    """Return images of one value each, with labels of 2 to 5 classes and some that are ignored."""
    batch = _batch(rows, 16, 24)
    images = (torch.arange(rows, dtype=torch.uint8) * 20)[:, None, None, None].expand(rows, 3, 16, 24)
    return replace(batch, images=images, labels=torch.where(batch.labels < 3, IGNORE, batch.labels % 5).byte())


def test_pasted_classes_come_whole_with_their_labels_and_ignored_pixels_never() -> None:
    batch, settings = _keyed(), JointAugment(mix=ClassMix(probability=1.0))
    seen = _augmented(settings, batch)
    source = (seen.images[:, 0] / 20).round().long()
    pasted = 0
    for row, labels in enumerate(seen.labels):
        (other,) = set(source[row].unique().tolist()) - {row} or {row}
        there = source[row] == other
        if other == row:
            continue
        pasted += 1
        assert torch.equal(labels[there], batch.labels[other][there])
        assert torch.equal(labels[~there], batch.labels[row][~there])
        names = batch.labels[other][there].unique()
        assert IGNORE not in names
        assert torch.equal(there, torch.isin(batch.labels[other], names))
    assert pasted


def test_a_mosaic_of_label_maps_has_four_quarters_with_their_labels() -> None:
    batch = _keyed()
    seen = _augmented(JointAugment(mix=MosaicMix(probability=1.0)), batch)
    source = (seen.images[:, 0] / 20).round().long()
    assert torch.equal(seen.labels, taken(batch.labels, source))
    for row in range(6):
        lines = (source[row].diff(dim=0) != 0).any(1).sum(), (source[row].diff(dim=1) != 0).any(0).sum()
        assert max(lines) <= 1
        assert source[row, 0, 0] == row
    assert torch.equal(_augmented(JointAugment(mix=MosaicMix(probability=0.0)), batch).labels, batch.labels)


@pytest.mark.parametrize("mix", [ClassMix(), MosaicMix()], ids=str)
def test_two_processes_mix_the_whole_batch_and_keep_their_rows(mix: ClassMix | MosaicMix) -> None:
    settings = ALL.model_copy(update={"mix": mix})
    whole = _augmented(settings, _batch())
    assert JointAugmenter(settings, 0, Normalizer(MEAN, STD)).mixes(0)
    share = _augmented(settings, replace(_batch(), rows=Rows(0, 6, keep=(3, 6))))
    assert torch.equal(share.images, whole.images[3:])
    assert torch.equal(share.labels, whole.labels[3:])
