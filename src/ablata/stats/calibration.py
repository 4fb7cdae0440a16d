"""The bound c that keeps a whole study's false verdicts at alpha, by simulation of studies in which no arm differs.

Every arm is looked at after every seed from n0 to N, and all share one control, so single p values have to meet a
stricter bound. The bound grows with the seeds, c * (n / N)^k, and c is the alpha quantile of the least p / (n / N)^k
that a study without any difference shows over its looks and arms. Version 1 of the rule has k = 1 and simulates arms of
unequal noise, exp(0.3 z), which pays for what its shared variance costs on a noisy arm. Version 2 guards its variance
(see `moderation`), so equal noise is simulated, and spends its error late, k = 4, when the variance is better known.
Version 3 has the bound of version 2.
With a noise history it also simulates studies that are 1.4 times noisier than the history says, of which at most 1.15
alpha may have a false verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ablata.stats.batch import StudyBatch
from ablata.stats.distributions import student
from ablata.stats.jsonable import Jsonable
from ablata.stats.rule import RULE_VERSION, Rule
from ablata.stats.table import Floats

STUDIES = 20_000
LOG_SPREAD = 0.3
"""Spread of the arms' noise that version 1 is calibrated on."""
GROWTH = {1: 1, 2: 4, 3: 4}
"""k, by version of the rule."""
QUIET_HISTORY, QUIET_EXCESS = 1.4, 1.15
QUANTILES = 3_000
CHUNK_SCORES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Calibration(Jsonable):
    """The bound of one rule and number of arms, with the null studies it came from.

    Attributes:
        key: `calibration_key` of the arms and the rule it fits.
        bound: c, in (0, 1); 0 if the rule has no look.
        studies: number of simulated null studies M.
        ranks: whole numbers 1..M, increasing.
        minima: the least p / (n / N)^k of a null study, at these ranks of the sorted studies.
        version: of the rule it is for; what is judged with it is judged by that version.
        growth: k; 0: that of the version.
    """

    key: str
    bound: float
    studies: int
    ranks: tuple[int, ...]
    minima: tuple[float, ...]
    version: int = 1
    growth: int = 0

    @classmethod
    def of(cls, key: str, minima: Floats, *, bound: float, version: int = 1) -> Calibration:
        """Make one from the sorted minima of simulated studies, (studies,); 3,000 of them are kept."""
        ranks = np.unique(np.geomspace(1, len(minima), QUANTILES).round().astype(int))
        kept = tuple(float(f"{value:.6g}") for value in minima[ranks - 1])
        return cls(key=key, bound=bound, studies=len(minima), ranks=tuple(ranks.tolist()), minima=kept, version=version)

    @classmethod
    def without_looks(cls, key: str, studies: int, *, version: int = 1) -> Calibration:
        """Make that of a rule that never looks: bound 0, nothing simulated."""
        return cls(key=key, bound=0.0, studies=studies, ranks=(), minima=(), version=version)

    def fits(self, arms: int, rule: Rule) -> bool:
        """Whether it was made for as many arms and a rule with the same N, alpha, n0, d0 and history weight."""
        return self.key.startswith(_design(arms, rule, self.version) + ":studies=")

    def bound_at(self, seeds: int | float, rule: Rule) -> float:
        """Return c_n = c * (n / N)^k, the bound a p value has to stay below at `seeds` = n."""
        if self.power == 1:
            return self.bound * seeds / rule.seeds
        return float(self.bound * (seeds / rule.seeds) ** self.power)

    @property
    def power(self) -> int:
        """k, with which the bound grows."""
        return self.growth or GROWTH[self.version]

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
        rank = float(np.interp(p / fraction**self.power, self.minima, self.ranks))
        return 1.0 - rank / self.studies


def calibration_key(
    arms: int, rule: Rule, *, studies: int = STUDIES, seed: int = 0, version: int = RULE_VERSION
) -> str:
    """Return a text that is equal exactly when `calibrate` would return the same; a name to store the result under.

    Raises:
        ValueError: there is no arm.
    """
    if arms < 1:
        raise ValueError(f"a study needs at least one arm beside the control, got {arms}")
    return f"{_design(arms, rule, version)}:studies={studies}:rng={seed}"


def _design(arms: int, rule: Rule, version: int) -> str:
    design = (
        f"c{version}:arms={arms}:seeds={rule.seeds}:alpha={rule.alpha:.12g}:first={rule.first_look}"
        f":prior={rule.prior_df:.12g}:history={rule.history_df:.12g}"
    )
    return f"{design}:spread={LOG_SPREAD}" if version == 1 else design


def calibrate(
    arms: int, rule: Rule, *, studies: int = STUDIES, seed: int = 0, version: int = RULE_VERSION
) -> Calibration:
    """Simulate null studies and return the bound. The same arguments give the same bits.

    Args:
        arms: K >= 1, the arms the study starts with, without the control.
        rule: for N, alpha, n0, d0 and the degrees of freedom of the noise history.
        studies: M, how many null studies.
        seed: of the simulation's own generator.
        version: of the rule.

    Returns:
        The bound; 0 without any simulation if the rule has no look.
    """
    key = calibration_key(arms, rule, studies=studies, seed=seed, version=version)
    if not rule.looks:
        return Calibration.without_looks(key, studies, version=version)
    minima = _null_studies(studies, arms, rule, seed, version)
    bound = float(np.quantile(minima, rule.alpha))
    if version > 1 and rule.history_df:
        noisier = _null_studies(studies, arms, rule, seed, version, noise=QUIET_HISTORY)
        bound = min(bound, float(np.quantile(noisier, QUIET_EXCESS * rule.alpha)))
    return Calibration.of(key, minima, bound=bound, version=version)


def sorted_minima(draw: Callable[[int], Floats], studies: int, *, scores: int) -> Floats:
    """Return the sorted minima of many simulated studies, drawn in pieces that fit the memory.

    Args:
        draw: from a number of studies to their minima, (studies,).
        studies: how many.
        scores: numbers that one study draws.
    """
    chunk = max(1, CHUNK_SCORES // scores)
    sizes = [min(chunk, studies - start) for start in range(0, studies, chunk)]
    return np.sort(np.concatenate([draw(size) for size in sizes]))


def _null_studies(studies: int, arms: int, rule: Rule, seed: int, version: int, noise: float = 1.0) -> Floats:
    rng = np.random.default_rng(seed)
    return sorted_minima(
        lambda size: _null_minima(size, arms, rule, rng, version, noise), studies, scores=rule.seeds * (arms + 1)
    )


def _null_minima(studies: int, arms: int, rule: Rule, rng: np.random.Generator, version: int, noise: float) -> Floats:
    """The least p / (n / N)^k over looks and arms of each of `studies` studies without a difference, (studies,).

    All arms stay open.

    Args:
        studies, arms, rule, version: as for `calibrate`.
        rng: to draw from.
        noise: of a run, where the history says 1.
    """
    spread: Floats | float = noise
    if version == 1:
        spread = np.exp(LOG_SPREAD * rng.standard_normal((studies, arms + 1)))
    scores = rng.standard_normal((rule.seeds, studies, arms + 1)) * spread
    history = None
    if rule.history_df:
        history = rng.chisquare(rule.history_df, studies) / rule.history_df
        history *= np.exp(2 * LOG_SPREAD**2) if version == 1 else 1.0
    batch = StudyBatch(studies, arms, rule, version, history)
    least = np.full(studies, np.inf)
    for n, row in enumerate(scores, start=1):
        batch.add(row)
        if n in rule.looks:
            variance, dof = batch.variance()
            p = 2 * student.tail(np.abs(batch.effect) * np.sqrt(n / variance), dof)
            least = np.minimum(least, p.min(axis=1) / (n / rule.seeds) ** GROWTH[version])
    return least
