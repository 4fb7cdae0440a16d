"""The bound c that keeps a whole study's false verdicts at alpha, by simulation of studies in which no arm differs.

Every arm is looked at after every seed from n0 to N, and all share one control, so single p values have to meet a
stricter bound. The bound grows with the seeds, c * n / N, and c is the alpha quantile of the least p / (n / N) that a
study without any difference shows over its looks and arms. Arms of real studies are not equally noisy: the simulated
ones have noise exp(0.3 z), which pays for what the shared variance costs on a noisy arm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from ablata.stats.jsonable import Jsonable
from ablata.stats.rule import Rule
from ablata.stats.table import Floats

STUDIES = 20_000
LOG_SPREAD = 0.3
QUANTILES = 3_000
VERSION = 1
CHUNK_SCORES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Calibration(Jsonable):
    """The bound of one rule and number of arms, with the null studies it came from.

    Attributes:
        key: `calibration_key` of the arms and the rule it fits.
        bound: c, in (0, 1); 0 if the rule has no look.
        studies: number of simulated null studies M.
        ranks: whole numbers 1..M, increasing.
        minima: the least p / (n / N) of a null study, at these ranks of the sorted studies.
    """

    key: str
    bound: float
    studies: int
    ranks: tuple[int, ...]
    minima: tuple[float, ...]

    def fits(self, arms: int, rule: Rule) -> bool:
        """Whether it was made for as many arms and a rule with the same N, alpha, n0, d0 and history weight."""
        return self.key.startswith(_design(arms, rule) + ":studies=")

    def bound_at(self, seeds: int | float, rule: Rule) -> float:
        """Return c_n = c * n / N, the bound a p value has to stay below at `seeds` = n."""
        return self.bound * seeds / rule.seeds

    def confidence(self, p: float, fraction: float) -> float:
        """Return 1 - the share of null studies that show, anywhere, as small a p value as this one.

        Args:
            p: an arm's p value at a look.
            fraction: n / N of that look, in (0, 1].

        Returns:
            In [0, 1 - 1/M]: M studies cannot show more. At a verdict it is at least 1 - alpha.
        """
        if not self.ranks:
            return 0.0
        rank = float(np.interp(p / fraction, self.minima, self.ranks))
        return 1.0 - rank / self.studies


def calibration_key(arms: int, rule: Rule, *, studies: int = STUDIES, seed: int = 0) -> str:
    """Return a text that is equal exactly when `calibrate` would return the same; a name to store the result under."""
    if arms < 1:
        raise ValueError(f"a study needs at least one arm beside the control, got {arms}")
    return f"{_design(arms, rule)}:studies={studies}:rng={seed}"


def _design(arms: int, rule: Rule) -> str:
    return (
        f"c{VERSION}:arms={arms}:seeds={rule.seeds}:alpha={rule.alpha:.12g}:first={rule.first_look}"
        f":prior={rule.prior_df:.12g}:history={rule.history_df:.12g}:spread={LOG_SPREAD}"
    )


def calibrate(arms: int, rule: Rule, *, studies: int = STUDIES, seed: int = 0) -> Calibration:
    """Simulate null studies and return the bound. The same arguments give the same bits.

    Args:
        arms: K >= 1, the arms the study starts with, without the control.
        rule: for N, alpha, n0, d0 and the degrees of freedom of the noise history.
        studies: M, how many null studies.
        seed: of the simulation's own generator.

    Returns:
        The bound; 0 without any simulation if the rule has no look.
    """
    key = calibration_key(arms, rule, studies=studies, seed=seed)
    if not rule.looks:
        return Calibration(key=key, bound=0.0, studies=studies, ranks=(), minima=())
    rng = np.random.default_rng(seed)
    chunk = max(1, CHUNK_SCORES // (rule.seeds * (arms + 1)))
    sizes = [min(chunk, studies - start) for start in range(0, studies, chunk)]
    minima = np.sort(np.concatenate([_null_minima(size, arms, rule, rng) for size in sizes]))
    ranks = np.unique(np.geomspace(1, studies, QUANTILES).round().astype(int))
    return Calibration(
        key=key,
        bound=float(np.quantile(minima, rule.alpha)),
        studies=studies,
        ranks=tuple(ranks.tolist()),
        minima=tuple(float(f"{value:.6g}") for value in minima[ranks - 1]),
    )


def _null_minima(studies: int, arms: int, rule: Rule, rng: np.random.Generator) -> Floats:
    """The least p / (n / N) over looks and arms of each of `studies` studies without a difference, (studies,).

    All arms stay open, so all have the same degrees of freedom and the least p belongs to the greatest |t|.
    """
    spread = np.exp(LOG_SPREAD * rng.standard_normal((studies, arms + 1)))
    scores = rng.standard_normal((rule.seeds, studies, arms + 1)) * spread
    history_df = rule.history_df
    ss = np.zeros(studies)
    if history_df:
        ss += np.exp(2 * LOG_SPREAD**2) * rng.chisquare(history_df, studies)
    least = np.full(studies, np.inf)
    total, mean, squares = scores[0].copy(), scores[0, :, 1:] - scores[0, :, :1], np.zeros((studies, arms))
    for n in range(2, rule.seeds + 1):
        step = scores[n - 1] - total / (n - 1)
        total += scores[n - 1]
        ss += (n - 1) / n * np.square(step - step.mean(axis=1, keepdims=True)).sum(axis=1)
        off = scores[n - 1, :, 1:] - scores[n - 1, :, :1] - mean
        mean += off / n
        squares += (n - 1) / n * np.square(off)
        if n not in rule.looks:
            continue
        df, weight = arms * (n - 1) + history_df, rule.prior_df + n - 1
        variance = (rule.prior_df * 2 * (ss / df)[:, None] + squares) / weight
        greatest = np.sqrt((np.square(mean) * n / variance).max(axis=1))
        p = 2 * stdtr(min(weight, max(df, n - 1)), -greatest)
        least = np.minimum(least, p * rule.seeds / n)
    return least
