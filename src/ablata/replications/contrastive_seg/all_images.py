"""All images: 2,085 to train on, then another division with a test set of nine classes (lines 237 to 287)."""

from __future__ import annotations

import math

from ablata.replications.contrastive_seg.published import (
    CROSS_ENTROPY,
    HRNET,
    SHORT_MEMORY,
    SMALL_HRNET,
    contrast,
    own,
)
from ablata.replications.trial import Question, Trial

_LENGTH = 60_000
_BASE = f"{HRNET} train.steps={_LENGTH} {CROSS_ENTROPY}"
_WEIGHTS = (
    "[0.541718,0.91004837,0.9543705,0.9790279,0.82916045,0.8839496,0.9967673,0.99515355,0.99997556,0.99593496,"
    "0.9190495,0.99484426]"
)

WEIGHTS = Question(
    name="weights12",
    title="Do the weights of twelve classes help with 2,085 images?",
    base=_BASE,
    control=Trial(
        "ce",
        "cross-entropy without weights",
        "",
        (237, 238, 239, 240, 241),
        (
            *(85.668, 85.6938, 85.669),
            *(93.47, 91.21, 82.25, 81.17, 94.08, 93.09, 61.48, 86.24, math.nan, 78.73, 92.79, 86.67),
            *(92.84, 91.16, 82.03, 81.87, 94.33, 93.14, 61.91, 85.82, math.nan, 79.52, 90.24, 89.72),
        ),
        note="The second reading is of the class scores that come last; class 8 is not in the validation set.",
    ),
    trials=(
        Trial(
            "weighted",
            "with weights, each of them one minus the class's share of the pixels",
            f"loss.weights={_WEIGHTS}",
            tuple(range(242, 259)),
            (
                *(85.2275, 85.3763),
                *(92.53, 90.65, 81.89, 80.21, 93.91, 92.79, 60.65, 86.82, math.nan, 77.11, 90.16, 90.74),
                *(93.03, 90.85, 81.52, 81.16, 94.14, 93.27, 61.2, 86.55, math.nan, 75.19, 91.79, 90.4),
            ),
            small="loss.weights=complement",
        ),
    ),
    meaning="mean IoU of each reading, then the IoU of classes 0 to 11, of two readings",
    judged=0,
    small=SMALL_HRNET,
)

_MEANING = "mean IoU, then the IoU of classes 0 to 8"
_CONTRAST = contrast(_LENGTH)

DIVIDED_ANEW = Question(
    name="divided-anew",
    title="Divided anew: do the published contrast and the notebook's own help, and the batch?",
    base=_BASE,
    control=Trial(
        "ce",
        "cross-entropy without weights",
        "",
        (264, 265, 266, 267),
        (39.8968, 79.82, 29.16, 39.82, 90.81, 14.57, 30.07, 0.0, 44.34, 30.45),
        note="Length and batch are not named: 60,000 steps, as before, of 4.",
    ),
    trials=(
        Trial(
            "published",
            "the published contrast",
            f"{_CONTRAST} loss.weight=1 loss.dense_weight=0.01",
            (269, 270, 271),
            (38.0199, 82.45, 33.78, 31.13, 91.95, 19.06, 22.76, 0.0, 31.44, 29.58),
            note="A head without any cross-entropy would learn nothing: 0.01 of it, as in line 214, is a guess.",
        ),
        Trial(
            "ce-published",
            "cross-entropy and the published contrast",
            _CONTRAST,
            (273, 274, 275),
            (41.2905, 78.54, 36.4, 33.86, 90.71, 27.33, 27.56, 0.0, 37.25, 39.91),
        ),
        Trial(
            "ce-own-4",
            "cross-entropy and the own contrast, batches of 4",
            f"{own(_LENGTH, 1_048_576, 9)} loss.samples=6000 loss.temperature=0.2",
            (279, 280, 281),
            (37.7841, 78.5, 33.42, 27.64, 90.83, 19.15, 25.09, 0.0, 38.4, 27.0),
            note="List, samples and temperature are those of lines 225 to 228.",
            small=SHORT_MEMORY,
        ),
        Trial(
            "ce-own-8",
            "batches of 8",
            f"{own(_LENGTH, 1_048_576, 9)} loss.samples=6000 loss.temperature=0.2 train.batch=8",
            (283, 284),
            (45.5348, 86.63, 37.83, 46.86, 92.98, 40.27, 28.11, 0.0, 47.86, 29.23),
            note="List, samples and temperature are those of lines 225 to 228.",
            small=SHORT_MEMORY,
        ),
        Trial(
            "ce-own-24",
            "batches of 24, a list of 32,768",
            f"{own(_LENGTH, 32_768, 9)} loss.samples=6000 loss.temperature=0.2 train.batch=24",
            (286, 287),
            (49.6713, 86.94, 43.46, 52.18, 93.29, 46.68, 42.14, 0.0, 45.87, 36.45),
            small=SHORT_MEMORY,
        ),
    ),
    meaning=_MEANING,
    judged=0,
    small=SMALL_HRNET,
)

ALL_IMAGES = (WEIGHTS, DIVIDED_ANEW)
