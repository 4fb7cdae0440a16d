"""Made-up studies with known effects, and the rule on many of them at once: what planning and benchmarks measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ablata.stats.batch import StudyBatch
from ablata.stats.calibration import Calibration
from ablata.stats.contrasts import upper_tail
from ablata.stats.distributions import student
from ablata.stats.items.moderation import ItemEvidence
from ablata.stats.rule import Rule, Verdict
from ablata.stats.sequential import FUTILITY_Z
from ablata.stats.table import Bools, Floats


@dataclass(frozen=True, eq=False)
class Judged:
    """What `judge_many` returns.

    Attributes:
        sign: int8 (studies, arms): +1 where the effect was found above 0, -1 below, 0 undecided or equivalent.
        equivalent: bool (studies, arms).
        seeds: (studies, arms), rows after which an arm was closed.
        effect: (studies, arms), the difference as measured there.
        se, dof: (studies, arms), its standard error and degrees of freedom.
        runs: (studies,), the control's included.
    """

    sign: NDArray[np.int8]
    equivalent: Bools
    seeds: NDArray[np.int64]
    effect: Floats
    se: Floats
    dof: Floats
    runs: NDArray[np.int64]

    @property
    def decided(self) -> Bools:
        """Which arms have a verdict, (studies, arms)."""
        return np.asarray((self.sign != 0) | self.equivalent, dtype=np.bool_)

    def false(self, effects: ArrayLike, rule: Rule) -> Bools:
        """Return which verdicts are wrong for the true effects of the arms, (studies, arms)."""
        true = np.asarray(effects, dtype=np.float64)
        apart = np.zeros(true.shape, dtype=np.bool_) if rule.margin is None else np.abs(true) >= rule.margin
        return np.asarray(
            ((self.sign > 0) & (true <= 0)) | ((self.sign < 0) & (true >= 0)) | (self.equivalent & apart),
            dtype=np.bool_,
        )


def draw_scores(
    effects: ArrayLike,
    *,
    seeds: int,
    noise: float,
    rng: np.random.Generator,
    shared: float = 0.0,
    spread: ArrayLike = 1.0,
) -> Floats:
    """Draw one study: y[s, a] = effect_a + shared * u_s + noise * spread_a * e[s, a], all Gaussian.

    Args:
        effects: float (arms,), true differences to the control, in the metric's units.
        seeds: rows to draw.
        noise: s_e, standard deviation of one run within a seed.
        rng: the generator to draw from; it is advanced.
        shared: standard deviation of the seed's part that all arms have in common.
        spread: factor on the noise, one number or (1 + arms).

    Returns:
        float64 (seeds, 1 + arms), column 0 the control.
    """
    (scores,) = draw_many(1, effects, seeds=seeds, noise=noise, rng=rng, shared=shared, spread=spread)
    return np.asarray(scores)


def draw_many(
    studies: int,
    effects: ArrayLike,
    *,
    seeds: int,
    noise: float,
    rng: np.random.Generator,
    shared: float = 0.0,
    spread: ArrayLike = 1.0,
) -> Floats:
    """Draw many studies, as `draw_scores` does one.

    Args:
        studies: how many.
        effects, seeds, noise, rng, shared, spread: as for `draw_scores`.

    Returns:
        float64 (studies, seeds, 1 + arms).
    """
    means = np.concatenate([[0.0], np.asarray(effects, dtype=np.float64)])
    own = rng.standard_normal((studies, seeds, len(means))) * noise * np.asarray(spread, dtype=np.float64)
    common = rng.standard_normal((studies, seeds, 1)) * shared
    return np.asarray(means + common + own, dtype=np.float64)


def judge_many(
    scores: Floats,
    rule: Rule,
    calibration: Calibration,
    *,
    history: ArrayLike | None = None,
    evidence: ItemEvidence | None = None,
    patience: int = 0,
) -> Judged:
    """Judge many complete studies, as `replay` does one.

    Args:
        scores: float (studies, seeds, 1 + arms), finite, `rule.seeds` rows, column 0 the control.
        rule: the rule; its direction of better is not used.
        calibration: `calibrate(arms, rule)`.
        history: variance of each study's noise history, (studies,); None: that of the rule.
        evidence: of single items, (seeds, studies, arms) each; goes with `calibrate_items`.
        patience: seeds up to which no arm is stopped as one that N seeds can hardly settle.

    Raises:
        ValueError: the shape does not fit the rule, or the calibration does not.
    """
    studies, rows, columns = scores.shape
    if rows != rule.seeds or not calibration.fits(columns - 1, rule):
        raise ValueError(
            f"scores of shape {scores.shape} do not fit {rule.seeds} seeds or calibration {calibration.key}"
        )
    known = rule.history.variance if rule.history else 0.0
    variances = np.broadcast_to(np.asarray(known if history is None else history, dtype=np.float64), (studies,))
    batch = StudyBatch(studies, columns - 1, rule, calibration.version, variances, evidence)
    shape = (studies, columns - 1)
    sign, equivalent = np.zeros(shape, dtype=np.int8), np.zeros(shape, dtype=np.bool_)
    seeds, runs = np.zeros(shape, dtype=np.int64), np.zeros(studies, dtype=np.int64)
    effect, se, dof = np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.nan)
    for n in range(1, rows + 1):
        running = batch.open.copy()
        runs += np.where(running.any(axis=1), 1 + running.sum(axis=1), 0)
        seeds += running
        batch.add(scores[:, n - 1])
        if n not in rule.looks:
            continue
        variance, free = batch.variance()
        error = np.sqrt(variance / n)
        for kept, value in ((effect, batch.effect), (se, error), (dof, free)):
            kept[running] = value[running]
        bound = calibration.bound_at(n, rule)
        size = np.abs(batch.effect)
        equal = running & (upper_tail((np.nan if rule.margin is None else rule.margin) - size, error, free) < bound)
        apart = running & ~equal & (2 * upper_tail(size, error, free) < bound)
        equivalent |= equal
        sign[apart] = np.sign(batch.effect[apart]).astype(np.int8)
        left = running & ~equal & ~apart
        batch.open = left & ~_futile(size, error, free, n, left, rule, calibration) if n > patience else left
    return Judged(sign=sign, equivalent=equivalent, seeds=seeds, effect=effect, se=se, dof=dof, runs=runs)


def is_false(verdict: Verdict, effect: float, rule: Rule) -> bool:
    """Whether a verdict on the mean is wrong for a true effect (arm minus control, in the metric's units).

    Wrong are `better` with no gain, `worse` with no loss and `equivalent` at or beyond the margin, never `undecided`.
    """
    gain = effect if rule.higher_is_better else -effect
    if verdict is Verdict.BETTER:
        return gain <= 0
    if verdict is Verdict.WORSE:
        return gain >= 0
    return verdict is Verdict.EQUIVALENT and (rule.margin is None or abs(effect) >= rule.margin)


def _futile(size: Floats, se: Floats, dof: Floats, n: int, left: Bools, rule: Rule, calibration: Calibration) -> Bools:
    """Which arms N seeds can hardly settle: conditional power, as in `sequential`."""
    if not rule.futility or n >= rule.seeds:
        return np.zeros(left.shape, dtype=np.bool_)
    part = n / rule.seeds
    at_end, drift = se * np.sqrt(part), FUTILITY_Z * se * np.sqrt(1 - part)
    later = dof + (rule.seeds - n) * left.sum(axis=1, keepdims=True)
    differs = size + drift < student.quantile(1 - calibration.bound / 2, later) * at_end
    if rule.margin is None:
        return np.asarray(differs)
    equal = np.maximum(size - drift, 0) <= rule.margin - student.quantile(1 - calibration.bound, later) * at_end
    return np.asarray(differs & ~equal)
