"""Made-up studies with known effects: what planning, tests and benchmarks measure the rule on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.rule import Rule, Verdict
from ablata.stats.table import Floats


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
    means = np.concatenate([[0.0], np.asarray(effects, dtype=np.float64)])
    own = rng.standard_normal((seeds, len(means))) * noise * np.asarray(spread, dtype=np.float64)
    common = rng.standard_normal((seeds, 1)) * shared
    return np.asarray(means + common + own, dtype=np.float64)


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
