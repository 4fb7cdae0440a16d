"""What a factorial study can still tell once cells left no score: contrasts by least squares over those that are left.

With every cell the columns of a design are orthogonal, and each contrast is a difference of two means. Without some,
the changes and their interactions of two are fitted beside each block's mean, and interactions of three and more are
taken as nil, which is what leaves room for the lost cells. Where that room is too small, the changes alone are fitted:
these are estimates that an interaction of two can move, so that nothing may be claimed from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablata.stats.factors.designs import Design
from ablata.stats.table import Floats


@dataclass(frozen=True, eq=False)
class Contrast:
    """How the contrasts of a block follow from the scores of the cells that count.

    Attributes:
        kept: bool (cells,), which cells count.
        weights: float (columns, kept cells); a row gives one contrast, changes first, then groups of interactions,
            then, with every cell, the rest.
        spread: float (columns,), a contrast's standard deviation in times of that with every cell.
        clear: whether no change is mistaken for an interaction of two.
    """

    kept: np.ndarray
    weights: Floats
    spread: Floats
    clear: bool

    def of(self, scores: Floats) -> Floats:
        """Return the contrasts (blocks, columns) of scores (blocks, cells)."""
        return np.asarray(scores[:, self.kept] @ self.weights.T, dtype=np.float64)


def contrast_of(design: Design, lost: Sequence[int]) -> Contrast | None:
    """Return the contrasts that can be estimated without some cells; None where not even the changes can.

    Args:
        design: of the study.
        lost: numbers of the cells that do not count.
    """
    kept = np.ones(design.cells, dtype=bool)
    kept[list(lost)] = False
    if not lost:
        weights = design.contrasts.T.astype(np.float64) * (2 / design.cells)
        return Contrast(kept, weights, np.ones(len(weights)), clear=True)
    mains = design.signs.astype(np.float64)
    for columns, clear in ((np.concatenate([mains, design.interactions], axis=1), True), (mains, False)):
        layout = np.column_stack([np.ones(int(kept.sum())), columns[kept]])
        if np.linalg.matrix_rank(layout) == layout.shape[1]:
            weights = 2 * np.linalg.pinv(layout)[1:]
            spread = np.sqrt(np.square(weights).sum(axis=1) * design.cells / 4)
            return Contrast(kept, weights, spread, clear)
    return None
