"""Conformance of data sets: images with labels, with masks, with objects."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from ablata.base.settings import Settings
from ablata.data.any import AnyDetectionData, AnyIdentityData, AnyImageData, AnySegmentationData
from ablata.data.classification.digits import Digits
from ablata.data.synthetic.persons import Persons
from ablata.data.synthetic.scene_boxes import SceneBoxes
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.structures.ignore import IGNORE
from ablata.testing.models import chosen, part_of


class _ImageHolder(Settings):
    part: AnyImageData = Digits()


class _Identities(Settings):
    part: AnyIdentityData = Persons()


class _Masks(Settings):
    part: AnySegmentationData = SceneMasks()


class _Objects(Settings):
    part: AnyDetectionData = SceneBoxes()


class DataSuite:
    """What every data set must do; the suites of the tasks derive from it.

    Attributes:
        part: the data set.
        settings: its settings by name.
        batch: rows of a training batch.
    """

    part: ClassVar[Any] = None
    settings: ClassVar[dict[str, Any]] = {}
    batch: ClassVar[int] = 6
    holder: ClassVar[Settings]

    def make(self) -> Any:
        """Return the data set, built anew."""
        folder = Path(tempfile.gettempdir()) / "ablata-testing-cache"
        return chosen(self.holder, part_of(self), self.settings).build(folder)

    @cached_property
    def data(self) -> Any:
        """Return the data set, built once a test."""
        return self.make()

    def batches(self, seed: int, start: int, stop: int, rank: int = 0, world_size: int = 1) -> list[Any]:
        """Return augmented training batches of steps `start` to `stop`."""
        loader = self.data.train_loader(seed, self.batch, rank, world_size)
        read = zip(range(start, stop), loader.batches(start, stop), strict=True)
        return [loader.augment(batch, step, loader.epoch_of(step)) for step, batch in read]

    def truth(self, batch: Any) -> list[torch.Tensor]:
        """Return what a batch says of its images."""
        return [batch.labels]

    def test_equal_content_has_an_equal_fingerprint(self) -> None:
        """Building it twice gives one fingerprint, by which runs on equal data are found."""
        assert self.make().fingerprint == self.make().fingerprint

    def test_there_are_training_and_validation_samples(self) -> None:
        """Neither split is empty."""
        assert self.data.sizes["train"] >= self.batch
        assert self.data.sizes["val"] > 0

    def test_training_goes_on_from_any_step_as_if_it_had_never_stopped(self) -> None:
        """Batches from a later step on are those of an uninterrupted training: what exact resume needs."""
        whole, later = self.batches(3, 0, 4), self.batches(3, 2, 4)
        for batch, again in zip(whole[2:], later, strict=True):
            assert torch.equal(batch.images, again.images)
            assert all(map(torch.equal, self.truth(batch), self.truth(again)))

    def test_another_seed_gives_another_order(self) -> None:
        """The order of training samples follows from the seed."""
        first, other = self.batches(0, 0, 2), self.batches(1, 0, 2)
        assert any(not torch.equal(batch.index, again.index) for batch, again in zip(first, other, strict=True))

    def test_processes_together_see_the_batch_of_one(self) -> None:
        """Two processes share the rows that one process would see."""
        whole = self.batches(2, 0, 1)[0]
        parts = [self.batches(2, 0, 1, rank, 2)[0] for rank in range(2)]
        assert torch.equal(torch.cat([part.index for part in parts]), whole.index)
        torch.testing.assert_close(torch.cat([part.images for part in parts]), whole.images)

    def test_evaluation_counts_every_sample_once(self) -> None:
        """Also where the samples do not divide evenly among processes."""
        for world_size in (1, 2, 3):
            seen = [
                batch.index for rank in range(world_size) for batch in self.data.eval_loader("val", 7, rank, world_size)
            ]
            assert sorted(torch.cat(seen).tolist()) == sorted(self.data.splits["val"].index.tolist())


class LabelDataSuite(DataSuite):
    """What every data set with labels as one tensor must do."""

    def test_labels_are_positions_of_classes(self) -> None:
        """Labels are 0 to K - 1, in the order of `classes`."""
        classes = len(self.data.classes)
        for split in ("train", "val"):
            for batch in self.data.eval_loader(split, 16):
                labels = batch.labels[batch.labels != IGNORE]
                assert not len(labels) or 0 <= int(labels.min()) <= int(labels.max()) < classes
                assert bool(batch.images.isfinite().all())


class ImageDataSuite(LabelDataSuite):
    """What every set of images with one label each must do."""

    holder: ClassVar[Settings] = _ImageHolder()


class IdentityDataSuite(LabelDataSuite):
    """What every set of identities seen by cameras must do."""

    holder: ClassVar[Settings] = _Identities()

    def test_labels_are_positions_of_classes(self) -> None:
        """Training labels are 0 to K - 1, in the order of `classes`; others are to be found."""
        labels = self.data.split_labels("train")
        assert 0 <= int(labels.min()) <= int(labels.max()) < len(self.data.classes)

    def test_somebody_is_found_by_another_camera(self) -> None:
        """In val some query has an image of its identity by another camera in the gallery, and of another identity."""
        seen = self.data.retrieval_split("val")
        pairs = list(zip(seen.identities.tolist(), seen.cameras.tolist(), strict=True))
        searched = [pair for pair, is_searched in zip(pairs, seen.gallery.tolist(), strict=True) if is_searched]
        asking = [pair for pair, asks in zip(pairs, seen.queries.tolist(), strict=True) if asks]
        assert any(who == other and camera != by for who, camera in asking for other, by in searched)
        assert any(who != other for who, _ in asking for other, _ in searched)


class SegmentationDataSuite(LabelDataSuite):
    """What every set of images with masks must do."""

    holder: ClassVar[Settings] = _Masks()

    def test_a_mask_is_as_high_and_wide_as_its_image(self) -> None:
        """Labels are [B, H, W] of the images' own sides."""
        for batch in self.data.eval_loader("val", 4):
            assert batch.labels.shape[1:] == batch.images.shape[2:]


class DetectionDataSuite(DataSuite):
    """What every set of images with objects must do."""

    holder: ClassVar[Settings] = _Objects()

    def truth(self, batch: Any) -> list[torch.Tensor]:
        """Return boxes and labels of each image of a batch."""
        return [values for target in batch.objects for values in (target.boxes, target.labels)]

    def test_objects_are_of_the_classes_and_inside_their_image(self) -> None:
        """Labels are 0 to K - 1, and boxes lie in the image."""
        classes = len(self.data.classes)
        for split in ("train", "val"):
            for batch in self.data.eval_loader(split, 4):
                assert bool(batch.images.isfinite().all())
                for size, target in zip(batch.sizes, batch.objects, strict=True):
                    assert bool(((target.labels >= 0) & (target.labels < classes)).all())
                    assert bool((target.boxes[:, :2] >= 0).all())
                    assert bool((target.boxes[:, 2:] <= size.flip(0)).all())
                    assert bool((target.boxes[:, 2:] > target.boxes[:, :2]).all())
