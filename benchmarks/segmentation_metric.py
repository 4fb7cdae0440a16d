"""Time the confusion matrix of one large image beside the usual numpy.bincount, in turns in one process.

    python benchmarks/segmentation_metric.py [--turns 20] [--threads 1]

The usual form is that of the FCN evaluation: select the labelled pixels, classes * label + prediction, bincount.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from ablata.metrics.segmentation import SegmentationScores

CLASSES, HEIGHT, WIDTH, IGNORE = 19, 1024, 2048, 255


def image(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 labels of 16 x 16 blocks, a twentieth ignored, and predictions of which a fifth are drawn anew."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(CLASSES, size=(HEIGHT // 16, WIDTH // 16))
    labels = blocks.repeat(16, 0).repeat(16, 1)
    guesses = np.where(rng.random(labels.shape) < 0.2, rng.integers(CLASSES, size=labels.shape), labels)
    return np.where(rng.random(labels.shape) < 0.05, IGNORE, labels), guesses


def by_numpy(guesses: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the confusion matrix [K, K] the usual way."""
    valid = (labels >= 0) & (labels < CLASSES)
    codes = CLASSES * labels[valid].astype(np.int64) + guesses[valid]
    return np.bincount(codes, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def by_us(guesses: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the confusion matrix [K, K] of `SegmentationScores`."""
    metric = SegmentationScores(CLASSES, IGNORE)
    metric.update(guesses[None], labels[None])
    return metric.confusion()


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    labels, guesses = image()
    print(f"{HEIGHT} x {WIDTH} pixels, {CLASSES} classes, {arguments.threads} thread(s), {arguments.turns} turns")
    for of_labels, of_guesses in ((np.int64, np.int64), (np.uint8, np.int64), (np.uint8, np.uint8)):
        truth, guess = labels.astype(of_labels), guesses.astype(of_guesses)
        name = f"{of_labels.__name__} labels, {of_guesses.__name__} predictions"
        tensors = torch.from_numpy(guess), torch.from_numpy(truth)
        if not np.array_equal(by_numpy(guess, truth), by_us(*tensors).numpy()):
            raise SystemExit(f"the two matrices differ: {name}")
        turns = [
            (seconds(partial(by_numpy, guess, truth)), seconds(partial(by_us, *tensors)))
            for _ in range(arguments.turns)
        ]
        usual, ours = (1e3 * statistics.median(column) for column in zip(*turns, strict=True))
        ratio = statistics.median(us / them for them, us in turns)
        print(f"{name}: numpy.bincount {usual:.1f} ms, ours {ours:.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
