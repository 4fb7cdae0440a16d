"""The bound for studies whose noise is read from their items, by simulation of studies in which no arm differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ablata.stats.calibration import STUDIES, Calibration, calibration_key, sorted_minima
from ablata.stats.distributions import student
from ablata.stats.items.moderation import ArmItems, moderate_items
from ablata.stats.items.noise import ItemPrior
from ablata.stats.rule import RULE_VERSION, Rule

GROWTH = 2
"""k: the bound grows with (n / N)^k; less late than without items, since the variance is known earlier."""
FIRST_LOOK = 2
"""Seeds before the first verdict of a study whose noise is read from its items."""
ITEMS_DF = 20.0
"""Degrees of freedom of S in the simulation; the more uncertain items there are, the more."""


def items_calibration_key(
    arms: int, rule: Rule, prior: ItemPrior, *, studies: int = STUDIES, seed: int = 0, version: int = RULE_VERSION
) -> str:
    """Return a text that is equal exactly when `calibrate_items` would return the same."""
    spread = f"between={prior.between:.12g}:within={prior.within:.12g}"
    return f"{calibration_key(arms, rule, studies=studies, seed=seed, version=version)}:items:growth={GROWTH}:{spread}"


def calibrate_items(
    arms: int, rule: Rule, prior: ItemPrior, *, studies: int = STUDIES, seed: int = 0, version: int = RULE_VERSION
) -> Calibration:
    """Simulate null studies with items and return the bound. The same arguments give the same bits.

    Scores are normal with equal noise; phi differs from study to study and from arm to arm as the prior says, and S is
    known with 20 degrees of freedom, the same error at every look.

    Args:
        arms: K >= 1, without the control.
        rule: for N, alpha and n0.
        prior: for the spreads of phi; its level does not matter.
        studies: M, how many null studies.
        seed: of the simulation's own generator.
        version: of the rule.
    """
    key = items_calibration_key(arms, rule, prior, studies=studies, seed=seed, version=version)
    if not rule.looks:
        return replace(Calibration.without_looks(key, studies, version=version), growth=GROWTH)
    rng = np.random.default_rng(seed)
    minima = sorted_minima(
        lambda size: _null_minima(size, arms, rule, prior, rng), studies, scores=rule.seeds * (arms + 1)
    )
    found = Calibration.of(key, minima, bound=float(np.quantile(minima, rule.alpha)), version=version)
    return replace(found, growth=GROWTH)


def draw_items(
    studies: int, variances: np.ndarray, prior: ItemPrior, rng: np.random.Generator, df: float = ITEMS_DF
) -> ArmItems:
    """Draw what the items of some studies say, for arms whose differences have known variances.

    Args:
        studies: how many.
        variances: (arms,) of a difference, squared units.
        prior: phi is drawn around its level with its spreads, as lognormal.
        rng: to draw from.
        df: degrees of freedom of S.

    Returns:
        One value a study and arm, (studies, arms).
    """
    shape = (studies, len(variances))
    spread = prior.between * rng.standard_normal((studies, 1)) + prior.within * rng.standard_normal(shape)
    phi = prior.level * np.exp(spread)
    return ArmItems(variances / phi * rng.chisquare(df, shape) / df, np.full(shape, df))


def _null_minima(studies: int, arms: int, rule: Rule, prior: ItemPrior, rng: np.random.Generator) -> np.ndarray:
    """The least p / (n / N)^k over looks and arms of each of `studies` studies without a difference, (studies,)."""
    scores = rng.standard_normal((rule.seeds, studies, arms + 1))
    items = draw_items(studies, np.full(arms, 2.0), prior, rng)
    least = np.full(studies, np.inf)
    difference = scores[:, :, 1:] - scores[:, :, :1]
    for n in rule.looks:
        seen = difference[:n]
        variance, dof = moderate_items(seen.var(axis=0, ddof=1), float(n), items, prior)
        p = 2 * student.tail(np.abs(seen.mean(axis=0)) * np.sqrt(n / variance), dof)
        least = np.minimum(least, p.min(axis=1) / (n / rule.seeds) ** GROWTH)
    return least
