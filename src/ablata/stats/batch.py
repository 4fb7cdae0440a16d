"""The numbers of many complete studies at once, row by row: what calibration and simulations rest on."""

from __future__ import annotations

import numpy as np

from ablata.stats.items.moderation import ItemEvidence, moderate_items
from ablata.stats.moderation import Residuals, moderate
from ablata.stats.rounding import is_rounding, is_same
from ablata.stats.rule import Rule
from ablata.stats.table import Bools, Floats


class StudyBatch:
    """Studies of equal size, fed one seed row after the other. No run diverges, and all pairs are of one environment.

    Args:
        studies: how many.
        arms: K, without the control.
        rule: for the prior weight and the degrees of freedom of the noise history.
        version: of the rule.
        history: variance of the noise history of each study, (studies,); None without one.
        evidence: of single items, (rows, studies, arms) each; None without.
    """

    def __init__(
        self,
        studies: int,
        arms: int,
        rule: Rule,
        version: int,
        history: Floats | None = None,
        evidence: ItemEvidence | None = None,
    ) -> None:
        self.rule, self.version, self.evidence = rule, version, evidence
        self.open: Bools = np.ones((studies, arms), dtype=np.bool_)
        self.rows = 0
        self.effect = np.zeros((studies, arms))
        self._squares = np.zeros((studies, arms))
        self._total = np.zeros((studies, arms + 1))
        self._sums = {name: np.zeros(studies) for name in ("ss", "df", "arms_ss", "arms_df", "per_arm", "steps")}
        self._history = np.zeros(studies) if history is None else history
        self._scores: list[Floats] = []

    def add(self, row: Floats) -> None:
        """Take the scores of the next seed, (studies, 1 + arms); those of closed arms are not used."""
        self.rows += 1
        n = self.rows
        if n > 1:
            self._add_residual(row - self._total / (n - 1), (n - 1) / n)
        self._total += row
        if self.version > 2:
            self._scores.append(row)
        off = row[:, 1:] - row[:, :1] - self.effect
        self.effect += off / n
        self._squares += (n - 1) / n * np.square(off)

    def _add_residual(self, step: Floats, factor: float) -> None:
        """Add one Helmert contrast over seeds: the row against the mean of the rows before."""
        count = self.open.sum(axis=1)
        some = np.maximum(count, 1)
        among = np.where(self.open, step[:, 1:], 0.0)
        middle = among.sum(axis=1) / some
        arms = factor * np.square(np.where(self.open, step[:, 1:] - middle[:, None], 0.0)).sum(axis=1)
        control = factor * np.square(step[:, 0] - middle) * (count > 0)
        for name, value in (
            ("ss", arms + control * some / (some + 1)),
            ("df", count),
            ("arms_ss", arms),
            ("arms_df", np.maximum(count - 1, 0)),
            ("per_arm", (count > 0) / some),
            ("steps", count > 0),
        ):
            self._sums[name] += value

    def variance(self) -> tuple[Floats, Floats]:
        """Return variance and degrees of freedom of one difference, (studies, arms) each; two rows at least.

        A variance is NaN where there is no spread to tell it by, see `contrasts`.
        """
        variance, dof = self._moderated()
        if self.version > 2:
            largest = np.max([np.abs(row).max(axis=1, keepdims=True) for row in self._scores], axis=0)
            for study, arm in np.argwhere(is_rounding(variance, largest)):
                control, own = (np.array([row[study, at] for row in self._scores]) for at in (0, arm + 1))
                if not is_same(control, own, self.rule.margin):
                    variance[study, arm] = np.nan
        return variance, dof

    def _moderated(self) -> tuple[Floats, Floats]:
        n, own = np.float64(self.rows), self._squares / (self.rows - 1)
        if self.evidence is not None:
            return moderate_items(own, n, self.evidence.items.at(self.rows).of(self.open), self.evidence.prior)
        sums = {name: value[:, None] for name, value in self._sums.items()}
        residuals = Residuals(
            ss=sums["ss"],
            df=sums["df"],
            arms_ss=sums["arms_ss"],
            arms_df=sums["arms_df"],
            per_arm=sums["per_arm"] / np.maximum(sums["steps"], 1),
            history_variance=self._history[:, None],
            history_df=np.full((len(self._history), 1), self.rule.history_df),
        )
        return moderate(own, n, residuals, self.rule.prior_df, self.version)
