"""Conformance of object detectors.

Letters: B images, K classes, C channels, H and W height and width, N objects or detections of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ablata.base.settings import Settings
from ablata.models.detection.any import AnyDetector
from ablata.models.detection.base import Detector, ImageDetections
from ablata.models.detection.mask_rcnn import MaskRcnn
from ablata.nn.lazy_modules import initialize_lazy
from ablata.structures.detection import Objects
from ablata.testing.models import chosen, part_of


class _Detector(Settings):
    part: AnyDetector = MaskRcnn()


class DetectorSuite:
    """What every object detector must do.

    Attributes:
        part: the detector.
        settings: its settings by name.
        classes: K, without the background.
        size: H and W of an image.
        batch: B.
        tolerance: largest difference between an image's scores alone and in a batch.
    """

    part: ClassVar[Any] = None
    settings: ClassVar[dict[str, Any]] = {}
    classes: ClassVar[int] = 3
    size: ClassVar[tuple[int, int]] = (64, 96)
    batch: ClassVar[int] = 2
    tolerance: ClassVar[float] = 1e-4

    def chosen(self) -> Any:
        """Return the detector's settings."""
        return chosen(_Detector(), part_of(self), self.settings)

    def make(self, seed: int = 0) -> Detector:
        """Return the detector with weights of a seed."""
        torch.manual_seed(seed)
        made: Detector = self.chosen().build(self.classes, torch.eye(self.classes + 1))
        initialize_lazy(made, lambda: self.images()[:1])
        return made

    def images(self, seed: int = 1) -> Tensor:
        """Return images as the detector takes them: in 0..1, or normalized; float32 [B, 3, H, W]."""
        images = torch.rand(self.batch, 3, *self.size, generator=torch.Generator().manual_seed(seed))
        return images if self.chosen().raw_images else (images - 0.45) / 0.23

    def objects(self, counts: tuple[int, ...]) -> tuple[Objects, ...]:
        """Return that many objects for each image, with masks."""
        return tuple(self._objects(count) for count in counts)

    def losses(self, model: Detector, counts: tuple[int, ...]) -> dict[str, Tensor]:
        """Return the loss terms of a training step on images with that many objects."""
        sizes, images = [self.size] * len(counts), self.images()[: len(counts)]
        torch.manual_seed(2)
        terms = model.train()(images, sizes, self.objects(counts))
        assert isinstance(terms, Mapping), f"{type(terms).__name__}, not a dict of losses"
        return dict(terms)

    def detections(self, model: Detector, images: Tensor) -> list[ImageDetections]:
        """Return what is found on each image."""
        with torch.no_grad():
            found = model.eval()(images, [self.size] * len(images))
        assert isinstance(found, list)
        return found

    def test_losses_are_finite_and_a_gradient_reaches_every_trainable_parameter(self) -> None:
        """A training step on images with objects gives finite terms, and no parameter is left out."""
        model = self.make()
        terms = self.losses(model, (2,) * self.batch)
        assert all(term.numel() == 1 and bool(term.isfinite()) for term in terms.values()), terms
        sum(terms.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
        missing = [
            name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None
        ]
        assert not missing, f"no gradient reaches {', '.join(missing)}"

    def test_images_without_objects_have_finite_losses(self) -> None:
        """No term is nan where all images, or one of them, hold nothing."""
        for counts in ((0,) * self.batch, (0, *(2,) * (self.batch - 1))):
            terms = self.losses(self.make(), counts)
            assert all(bool(term.isfinite()) for term in terms.values()), (counts, terms)

    def test_detections_lie_in_their_image_the_surest_first(self) -> None:
        """Boxes, labels and scores have the form that scoring expects, by falling score."""
        height, width = self.size
        masks, most = self.chosen().predicts_masks(), self.chosen().max_detections
        found = self.detections(self.make(), self.images())
        assert len(found) == self.batch
        for detections in found:
            count = len(detections.scores)
            assert count <= most, f"{count} detections, and max_detections={most}"
            assert detections.boxes.shape == (count, 4)
            assert detections.labels.shape == (count,)
            assert bool((detections.boxes >= 0).all())
            assert bool((detections.boxes <= detections.boxes.new_tensor([width, height, width, height])).all())
            assert bool((detections.boxes[:, :2] <= detections.boxes[:, 2:]).all())
            assert bool(((detections.labels >= 0) & (detections.labels < self.classes)).all())
            assert bool(((detections.scores >= 0) & (detections.scores <= 1)).all())
            assert bool((detections.scores.diff() <= 0).all())
            assert (detections.masks is not None) == masks

    def test_one_seed_gives_one_detector_and_another_seed_another(self) -> None:
        """First weights follow from torch's global generator alone."""
        first, again, other = (self.make(seed).state_dict() for seed in (0, 0, 1))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert any(not torch.equal(first[name], other[name]) for name in first)

    def test_in_evaluation_an_image_gives_the_same_alone_and_in_a_batch(self) -> None:
        """Scores do not depend on which images are evaluated together."""
        model, images = self.make(), self.images()
        together, again = self.detections(model, images), self.detections(model, images)
        for row, (batched, other) in enumerate(zip(together, again, strict=True)):
            assert torch.equal(batched.boxes, other.boxes), "two passes differ"
            assert torch.equal(batched.scores, other.scores), "two passes differ"
            (alone,) = self.detections(model, images[row : row + 1])
            assert len(alone.scores) == len(batched.scores), (
                f"{len(alone.scores)} detections alone, {len(batched.scores)} not"
            )
            # Which of two boxes with all but equal scores comes first may change with the batch, the scores may not.
            torch.testing.assert_close(alone.scores, batched.scores, rtol=0, atol=self.tolerance)

    def test_a_state_that_was_saved_gives_the_same_detections(self) -> None:
        """Everything that the outputs depend on is in the state_dict."""
        model, other, images = self.make(0), self.make(1), self.images()
        other.load_state_dict(model.state_dict())
        for detection, same in zip(self.detections(model, images), self.detections(other, images), strict=True):
            assert torch.equal(detection.boxes, same.boxes)
            assert torch.equal(detection.scores, same.scores)
            assert torch.equal(detection.labels, same.labels)

    def _objects(self, count: int) -> Objects:
        height, width = self.size
        left = torch.arange(count) * (width // 3)
        boxes = torch.stack((left, left * 0 + height // 4, left + width // 3, left * 0 + height // 2), 1)
        masks = torch.zeros(count, height, width, dtype=torch.bool)
        for mask, (x, y, right, bottom) in zip(masks, boxes.tolist(), strict=True):
            mask[y:bottom, x:right] = True
        labels, ids = torch.arange(count) % self.classes, torch.arange(count)
        return Objects(boxes.float(), labels, masks, ids, torch.zeros(count, dtype=torch.bool))
