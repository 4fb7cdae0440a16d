"""Boundary F-score of each class.

Sources: Csurka et al. 2013, BMVC, "What is a good evaluation measure for semantic segmentation?", section 3 (tolerance
0.75% of the diagonal); Perazzi et al. 2016, CVPR, the contour accuracy of DAVIS (0.8%).

Letters: K classes, B images, H x W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor


class BoundaryScores:
    """Boundary F-score of each class, added up image by image.

    A pixel is on its class's boundary if one of its four neighbours has another class. Precision is the fraction of the
    predicted boundary that lies within the tolerance of the true one (Euclidean), recall the fraction of the true one
    within the tolerance of the predicted one, F = 2 P R / (P + R). An image counts for a class that has a boundary in
    truth or prediction, with 0 where only one of them has it. Ignored pixels are on no boundary and no neighbours.

    Args:
        classes: K.
        ignore: label of the pixels that do not count.
        tolerance: fraction of the image's diagonal.
    """

    def __init__(self, classes: int, ignore: int = 255, tolerance: float = 0.0075) -> None:
        self.classes, self.ignore, self.tolerance = classes, ignore, tolerance
        self._sums = torch.zeros(classes, dtype=torch.float64)
        self._counts = torch.zeros(classes, dtype=torch.int64)

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch; it is worked on by the processor.

        Args:
            predicted: [B, H, W] integers in [0, K), the predicted class of each pixel.
            labels: [B, H, W] integers in [0, K), or `ignore`.

        Raises:
            ValueError: the shapes differ.
        """
        if predicted.shape != labels.shape:
            raise ValueError(
                f"predictions and labels must have one shape, got {[*predicted.shape]} and {[*labels.shape]}"
            )
        for guess, truth in zip(predicted.cpu().numpy(), labels.cpu().numpy(), strict=True):
            for label, score in self._of_image(guess, truth).items():
                self._sums[label] += score
                self._counts[label] += 1

    def state(self) -> dict[str, Tensor]:
        """Return the sums: `sums` [K] float64 and `counts` [K] int64; added up over processes they are the whole's."""
        return {"sums": self._sums, "counts": self._counts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums by those of `state`."""
        self._sums, self._counts = (state[name].cpu().clone() for name in ("sums", "counts"))

    def class_scores(self) -> Tensor:
        """Return [K] float64 in percent: the mean over images; nan for a class without a boundary in any."""
        return 100 * self._sums / self._counts

    def scores(self) -> dict[str, float]:
        """Return `boundary_f` in percent, the mean over the classes that have one; nan without any."""
        return {"boundary_f": float(self.class_scores().nanmean())}

    def _of_image(self, guess: np.ndarray, truth: np.ndarray) -> dict[int, float]:
        """Return the F-score, in 0..1, of each class with a boundary."""
        valid = truth != self.ignore
        outlines = [(ids, boundary(ids, valid)) for ids in (guess, truth)]
        limit = (self.tolerance * math.hypot(*truth.shape)) ** 2
        found = {int(label) for ids, outline in outlines for label in np.unique(ids[outline])}
        scores = {}
        for label in sorted(found & set(range(self.classes))):
            own, true = ((ids == label) & outline for ids, outline in outlines)
            scores[label] = _f_score(own, true, limit)
        return scores


def boundary(ids: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return bool [H, W]: valid pixels with a valid neighbour above, below, left or right of another class.

    Args:
        ids: integers [H, W].
        valid: bool [H, W].
    """
    outline = np.zeros(ids.shape, dtype=bool)
    for before, after in (((slice(None, -1),), (slice(1, None),)), ((..., slice(None, -1)), (..., slice(1, None)))):
        edge = (ids[before] != ids[after]) & valid[before] & valid[after]
        outline[before] |= edge
        outline[after] |= edge
    return outline


def _f_score(guess: np.ndarray, truth: np.ndarray, limit: float) -> float:
    if not (guess.any() and truth.any()):
        return 0.0
    precision, recall = (_near(one, other, limit) for one, other in ((guess, truth), (truth, guess)))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _near(points: np.ndarray, others: np.ndarray, limit: float) -> float:
    """Return the fraction of points whose squared distance to the nearest of the others is at most `limit`."""
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squared = np.square(distance[points].astype(np.float64)).round()  # squares of distances between pixels are whole
    return float((squared <= limit).mean())
