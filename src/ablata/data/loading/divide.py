"""Drawing of a validation split that holds every class, from all source folders alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ablata.base.errors import DataError
from ablata.base.seeds import derive


def divide(holds: np.ndarray, folders: Sequence[str], fraction: float, seed: int) -> np.ndarray:
    """Choose the validation images.

    Of every class that two or more images hold, one at least goes to each side, the rarest classes first; the rest of
    the fraction is drawn from the source folders in proportion to their size, and within a folder from the classes that
    are furthest below their share (iterative stratification, Sechidis et al. 2011).

    Args:
        holds: bool [n, classes], which image holds which class.
        folders: the source folder of each image.
        fraction: of the images, in (0, 1).
        seed: of the draw.

    Returns:
        bool [n], true for validation.

    Raises:
        DataError: the fraction is out of range, or there are fewer than two images.
    """
    count = len(holds)
    if not 0 < fraction < 1 or count < 2:
        raise DataError("The validation fraction must be between 0 and 1, of two or more images",
                        found=f"{fraction:g} of {count} images", do="such as 0.2")  # fmt: skip
    random = np.random.default_rng(derive(seed, "split"))
    wanted = min(max(round(fraction * count), 1), count - 1)
    order = random.permutation(count)
    chosen, kept = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    frequency = holds.sum(axis=0)
    for label in np.argsort(frequency, kind="stable"):
        if frequency[label] < 2:
            continue
        free = [row for row in order if holds[row, label] and not chosen[row] and not kept[row]]
        if not (holds[:, label] & kept).any() and free:
            kept[free.pop()] = True
        if not (holds[:, label] & chosen).any() and free:
            # Among several, the image that brings most classes that validation still lacks.
            lacking = ~holds[chosen].any(axis=0)
            best = max(free, key=lambda row: int((holds[row] & lacking).sum()))
            chosen[best] = True
    _fill(chosen, kept, order, folders, holds, wanted)
    return chosen


def _fill(
    chosen: np.ndarray, kept: np.ndarray, order: np.ndarray, folders: Sequence[str], holds: np.ndarray, wanted: int
) -> None:
    """Choose more until there are `wanted`: from the source folder, then the classes that are furthest below their
    share."""
    kinds, kind_of = np.unique(holds, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    # Images without a class are a class of their own.
    kinds = np.column_stack([kinds, ~kinds.any(axis=1)]).astype(np.float64)
    frequency = np.maximum(kinds[kind_of].sum(axis=0), 1)
    names = np.array(folders)
    sizes = {name: int((names == name).sum()) for name in sorted(set(folders))}
    waiting: dict[tuple[str, int], list[int]] = {}
    for row in order:
        if not chosen[row] and not kept[row]:
            waiting.setdefault((names[row], int(kind_of[row])), []).append(int(row))
    taken = kinds[kind_of[chosen]].sum(axis=0)
    by_folder = {name: int(chosen[names == name].sum()) for name in sizes}
    left = wanted - int(chosen.sum())
    while left > 0 and waiting:
        folder = min({name for name, _ in waiting}, key=lambda name: (by_folder[name] / sizes[name], name))
        there = sorted(kind for name, kind in waiting if name == folder)
        shares = taken / frequency
        kind = min(there, key=lambda one: float((kinds[one] * shares).sum() / kinds[one].sum()))
        row = waiting[folder, kind].pop()
        if not waiting[folder, kind]:
            del waiting[folder, kind]
        chosen[row] = True
        taken += kinds[kind]
        by_folder[folder] += 1
        left -= 1
