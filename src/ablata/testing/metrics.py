"""Conformance of metrics: functions of predictions and labels.

Letters: N samples, K classes, Q queries, G images of the gallery.
"""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ablata.base.user_code import resolve
from ablata.data.detection.rle import encode
from ablata.testing.models import part_of


class _Metric:
    part: ClassVar[Any] = None
    classes: ClassVar[int] = 4

    def score(self, predictions: Any, labels: Any) -> float:
        """Return what the metric says."""
        part = part_of(self)
        metric = resolve(part) if isinstance(part, str) else part
        return float(metric(predictions, labels))


class MetricSuite(_Metric):
    """What every metric of a classifier must do.

    Attributes:
        part: the function, or its reference.
        classes: K.
    """

    def drawn(self, seed: int = 0, count: int = 40) -> tuple[Tensor, Tensor]:
        """Return probabilities float32 [N, K] and labels int64 [N]."""
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(count, self.classes, generator=generator)
        return logits.softmax(1), torch.randint(self.classes, (count,), generator=generator)

    def test_it_is_a_finite_number(self) -> None:
        """On plain inputs it is one finite number."""
        assert math.isfinite(self.score(*self.drawn()))

    def test_the_order_of_the_samples_does_not_matter(self) -> None:
        """Shuffled samples have the same score."""
        found, labels = self.drawn()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
        assert math.isclose(
            self.score(found[order], labels[order]), self.score(found, labels), rel_tol=1e-5, abs_tol=1e-6
        )

    def test_what_it_is_given_stays_as_it_is(self) -> None:
        """It does not write into its inputs, which other metrics read too."""
        found, labels = self.drawn()
        before = found.clone(), labels.clone()
        self.score(found, labels)
        assert torch.equal(found, before[0])
        assert torch.equal(labels, before[1])


class ImageMetricSuite(_Metric):
    """What every metric of one image's label maps must do; see `MetricSuite`."""

    def test_it_is_a_number_for_any_map(self) -> None:
        """Also for a map of one class, and one that is wrong everywhere."""
        generator = torch.Generator().manual_seed(0)
        found, labels = (torch.randint(self.classes, (9, 12), generator=generator) for _ in range(2))
        assert math.isfinite(self.score(found, labels))

    def test_ignored_pixels_do_not_count(self) -> None:
        """What stands on ignored pixels changes nothing."""
        generator = torch.Generator().manual_seed(0)
        found, labels = (torch.randint(self.classes, (9, 12), generator=generator) for _ in range(2))
        labels[:4] = 255
        other = found.clone()
        other[:4] = (other[:4] + 1) % self.classes
        first, second = self.score(found, labels), self.score(other, labels)
        assert math.isclose(first, second) or (math.isnan(first) and math.isnan(second))


class DetectionMetricSuite(_Metric):
    """What every metric of a detector must do: a function of a dict an image of predictions, and one of truth.

    Attributes:
        part: the function, or its reference.
        classes: K.
        masks: whether both have masks, as COCO's run lengths.
    """

    masks: ClassVar[bool] = False

    def drawn(self, seed: int = 0, images: int = 6) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return predictions and truth of some images of 64 x 64 pixels; one has no objects, another no detections."""
        generator = torch.Generator().manual_seed(seed)
        truth = [self._objects(3 if row != 1 else 0, generator) for row in range(images)]
        found = [self._objects(4 if row != 2 else 0, generator) for row in range(images)]
        for prediction, objects in zip(found, truth, strict=True):
            objects["crowd"] = torch.zeros(len(objects["labels"]), dtype=torch.bool)
            prediction["scores"] = torch.rand(len(prediction["labels"]), generator=generator).sort(descending=True)[0]
            if len(objects["labels"]) and len(prediction["labels"]):
                for name in ("boxes", "labels"):
                    prediction[name][:2] = objects[name][:2]
        truth[0]["crowd"][2] = True
        for one in (*found, *truth) if self.masks else ():
            one["masks"] = [_run_lengths(box) for box in one["boxes"].long().tolist()]
        return found, truth

    def test_it_is_a_finite_number(self) -> None:
        """On plain inputs it is one finite number."""
        assert math.isfinite(self.score(*self.drawn()))

    def test_it_is_a_finite_number_where_nothing_is_found(self) -> None:
        """Images without a detection have a score."""
        found, truth = self.drawn()
        nothing = [{name: value[:0] for name, value in one.items()} for one in found]
        assert math.isfinite(self.score(nothing, truth))

    def test_the_order_of_the_images_does_not_matter(self) -> None:
        """Shuffled images have the same score."""
        found, truth = self.drawn()
        assert math.isclose(self.score(found[::-1], truth[::-1]), self.score(found, truth), rel_tol=1e-5, abs_tol=1e-6)

    def test_what_it_is_given_stays_as_it_is(self) -> None:
        """It does not write into its inputs, which other metrics read too."""
        found, truth = self.drawn()
        before = copy.deepcopy((found, truth))
        self.score(found, truth)
        for one, other in zip((*found, *truth), (*before[0], *before[1]), strict=True):
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one if name != "masks")

    def _objects(self, count: int, generator: torch.Generator) -> dict[str, Any]:
        corner = torch.randint(40, (count, 2), generator=generator)
        sides = torch.randint(8, 24, (count, 2), generator=generator)
        labels = torch.randint(self.classes, (count,), generator=generator)
        return {"boxes": torch.cat((corner, corner + sides), 1).float(), "labels": labels}


class RetrievalMetricSuite(_Metric):
    """What every metric of re-identification must do: a function of distances and of which answers are right.

    Attributes:
        part: the function, or its reference.
    """

    def drawn(self, seed: int = 0, queries: int = 8, gallery: int = 20) -> tuple[Tensor, Tensor]:
        """Return distances float32 [Q, G], infinite where the protocol leaves an image out, and right bool [Q, G].

        Every query has a right answer; an image that is left out is not right.
        """
        generator = torch.Generator().manual_seed(seed)
        persons = torch.arange(gallery) % (queries // 2)
        right = persons[None] == (torch.arange(queries) % (queries // 2))[:, None]
        distances = torch.rand(queries, gallery, generator=generator) - 0.2 * right
        left_out = torch.zeros_like(right)
        left_out[:, : queries // 2] = right[:, : queries // 2]
        return distances.masked_fill(left_out, math.inf), right & ~left_out

    def test_it_is_a_finite_number(self) -> None:
        """On plain inputs it is one finite number."""
        assert math.isfinite(self.score(*self.drawn()))

    def test_the_order_of_queries_and_gallery_does_not_matter(self) -> None:
        """Shuffled queries and gallery have the same score."""
        distances, right = self.drawn()
        generator = torch.Generator().manual_seed(1)
        rows, columns = (torch.randperm(count, generator=generator) for count in right.shape)
        other = self.score(distances[rows][:, columns], right[rows][:, columns])
        assert math.isclose(other, self.score(distances, right), rel_tol=1e-5, abs_tol=1e-6)

    def test_images_that_are_left_out_do_not_count(self) -> None:
        """Gallery images at an infinite distance change nothing."""
        distances, right = self.drawn()
        more = torch.full((len(distances), 3), math.inf)
        wider = torch.cat((distances, more), 1), torch.cat((right, torch.zeros_like(more, dtype=torch.bool)), 1)
        assert math.isclose(self.score(*wider), self.score(distances, right), rel_tol=1e-5, abs_tol=1e-6)

    def test_what_it_is_given_stays_as_it_is(self) -> None:
        """It does not write into its inputs, which other metrics read too."""
        distances, right = self.drawn()
        before = distances.clone(), right.clone()
        self.score(distances, right)
        assert torch.equal(distances, before[0])
        assert torch.equal(right, before[1])


def _run_lengths(box: list[int]) -> dict[str, Any]:
    """Return the mask of a box in an image of 64 x 64 pixels."""
    mask = np.zeros((64, 64), dtype=bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return encode(mask[None])[0].as_dict()
