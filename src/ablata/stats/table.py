"""The scores of a study as one table: whole seeds in rows, the control and its arms in columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Table:
    """Checked scores. Build it with `Table.of`.

    Attributes:
        scores: float64 (seeds, 1 + arms), column 0 the control; NaN where an arm was closed or a run diverged.
        diverged: bool (seeds, 1 + arms).
        ran: bool (seeds, 1 + arms), a run was made there, whether it finished or diverged.
        apart: bool (seeds, 1 + arms), the run and the control's come from different environment classes.
    """

    scores: Floats
    diverged: Bools
    ran: Bools
    apart: Bools

    @classmethod
    def of(cls, scores: ArrayLike, *, diverged: ArrayLike | None = None, unpaired: ArrayLike | None = None) -> Table:
        """Check the whole seed rows of a study and return them as a table.

        Args:
            scores: (seeds, 1 + arms) with at least one seed and one arm, column 0 the control. NaN where the arm was
                already closed at that seed, or the run diverged. Rows that still wait for a run do not belong here.
            diverged: bool of the same shape, runs that diverged; their scores, if any, are not used. Default none.
            unpaired: bool (seeds, arms), pairs of an arm and the control from different environment classes. Default
                none.

        Raises:
            ValueError: a shape is wrong, a score is infinite, the control misses a seed, or an arm came back after it
                was closed.
        """
        values = np.array(scores, dtype=np.float64)
        if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
            raise ValueError(f"`scores` must have shape (seeds, 1 + arms) with one of each, got {values.shape}")
        rows, columns = values.shape
        lost = _mask(diverged, (rows, columns), "diverged")
        apart = _mask(unpaired, (rows, columns - 1), "unpaired")
        values[lost] = np.nan
        if np.isinf(values).any():
            raise ValueError("`scores` must be finite, or NaN; a run that blew up belongs into `diverged`")
        ran = ~np.isnan(values) | lost
        if not ran[:, 0].all():
            raise ValueError(f"the control must run at every seed, it misses row {int(np.argmin(ran[:, 0]))}")
        back = (ran[1:] & ~ran[:-1]).any(axis=0)
        if back.any():
            raise ValueError(f"a closed arm must stay closed, but column {int(np.argmax(back))} has a later score")
        return cls(values, lost, ran, np.column_stack([np.zeros(rows, dtype=np.bool_), apart]) & ran)

    def seen(self, seeds: int, ran: Bools) -> Table:
        """Return the first `seeds` rows as they stood while only the runs of `ran`, (>= seeds, 1 + arms), were made."""
        made = self.ran[:seeds] & ran[:seeds]
        scores = np.where(made, self.scores[:seeds], np.nan)
        return Table(scores, self.diverged[:seeds] & made, made, self.apart[:seeds] & made)

    @property
    def arms(self) -> int:
        """Number of arms K, open or closed, without the control."""
        return len(self.scores[0]) - 1

    @property
    def seeds(self) -> int:
        """Number of whole seed rows n."""
        return len(self.scores)

    @cached_property
    def unpaired(self) -> Bools:
        """Bool (1 + arms): the arm has a seed at which it and the control ran in different environment classes."""
        return np.asarray(self.apart.any(axis=0), dtype=np.bool_)

    @cached_property
    def open_arms(self) -> list[int]:
        """Columns of the arms that ran in the last row."""
        return [column for column in range(1, self.arms + 1) if self.ran[-1, column]]

    @property
    def paired_columns(self) -> list[int]:
        """The control's column and those of the arms that share its environment class at every seed."""
        return [column for column in range(self.arms + 1) if not self.unpaired[column]]

    def divergences(self, column: int) -> tuple[int, int, int]:
        """Count the diverged runs at the seeds where the arm of `column` ran.

        Returns:
            Seeds where only the arm diverged, where only the control did, and where both did.
        """
        ran = self.ran[:, column]
        arm, control = self.diverged[ran, column], self.diverged[ran, 0]
        return int((arm & ~control).sum()), int((control & ~arm).sum()), int((arm & control).sum())


def _mask(given: ArrayLike | None, shape: tuple[int, int], name: str) -> Bools:
    if given is None:
        return np.zeros(shape, dtype=np.bool_)
    mask = np.array(given, dtype=np.bool_)
    if mask.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {mask.shape}")
    return mask
