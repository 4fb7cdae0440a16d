"""The effect behind a verdict, corrected for being shown because it was large.

An arm is called better once its measured effect is large enough, so that of small effects only lucky measurements are
shown: with five seeds a true +0.5 noise shows +1.4 (the winner's curse; Zoellner and Pritchard 2007, "Overcoming the
winner's curse", American Journal of Human Genetics 80). From simulated studies of the same rule follows what effect is
shown, on average, by those that call a true effect better; the corrected effect is the true one at which that average
equals what was measured.

The noise that a study measures is selected in the same way: verdicts fall more easily where it came out small. It is
divided by a power of the mean that studies with a verdict measure of it. The power was chosen by simulation
(benchmarks/corrected_effects.py): with 0 small effects stay too large, with 1 large ones become too small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ablata.stats.batch import StudyBatch
from ablata.stats.calibration import Calibration
from ablata.stats.distributions import student
from ablata.stats.moderation import Values
from ablata.stats.results import ArmLook
from ablata.stats.rule import Rule, Verdict
from ablata.stats.table import Floats

NOISE_POWER = 0.7
_ARM_STUDIES = 20_000
_FEWEST = 200
_GRID, _AT_ONE = np.linspace(0.0, 8.0, 81), 10
"""True effects, in units of the noise of one run, and where among them 1 stands."""


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """What a verdict's effect probably is.

    Attributes:
        effect: arm minus control, in the metric's units.
        power: share of such studies that find a true effect of this size, at the noise that a plan reckons with too.
    """

    effect: float
    power: float


def corrected_effect(look: ArmLook, noise: float, arms: int, rule: Rule, calibration: Calibration) -> Corrected | None:
    """Return the corrected effect of an arm that is better or worse; None for any other.

    Args:
        look: the arm's last.
        noise: of one run, > 0, by which `plan` says what the study finds.
        arms: K, without the control.
        rule: that the verdict was given by.
        calibration: its bound.

    Returns:
        An effect of the same sign, no larger than the measured one and no nearer 0 than the arm's interval allows.
    """
    if look.mean_verdict not in (Verdict.BETTER, Verdict.WORSE) or not look.effect or not look.se or not look.interval:
        return None
    one = np.float64
    low = min(abs(end) for end in look.interval)
    size = corrected_sizes(one(abs(look.effect)), one(low), one(look.se), one(look.pairs), arms, rule, calibration)
    _, _, power = _selection(arms, _plain(rule), calibration)
    return Corrected(
        effect=float(np.copysign(size, look.effect)), power=float(np.interp(float(size) / noise, _GRID, power))
    )


def corrected_sizes(
    size: Values, low: Values, se: Values, pairs: Values, arms: int, rule: Rule, calibration: Calibration
) -> Floats:
    """Return the corrected sizes of many effects that were found.

    Args:
        size: |effect| as measured.
        low: the end of its interval that is nearer to 0, as a size.
        se: standard error, > 0.
        pairs: seeds.
        arms, rule, calibration: as for `corrected_effect`.
    """
    shown, noise, _ = _selection(arms, _plain(rule), calibration)
    measured = se * np.sqrt(pairs / 2) / noise**NOISE_POWER
    units = np.asarray(size / measured, dtype=np.float64)
    found = np.where(units < shown[-1], np.interp(units, shown, _GRID), units) * measured
    return np.asarray(np.maximum(np.minimum(found, size), low), dtype=np.float64)


def _plain(rule: Rule) -> Rule:
    """Return the rule without what selection does not depend on."""
    history = None if rule.history is None else replace(rule.history, variance=1.0)
    return replace(rule, margin=None, history=history, higher_is_better=True)


@lru_cache(maxsize=64)
def _selection(arms: int, rule: Rule, calibration: Calibration) -> tuple[Floats, float, Floats]:
    """Return, for a noise of 1, the mean shown effect by true effect, the mean measured noise, and the power.

    An effect added to an arm moves its mean and no variance, so the same simulated studies serve every true effect.
    The measured noise is that of studies that find a true effect of 1.
    """
    studies = max(_FEWEST, _ARM_STUDIES // arms)
    rng, df = np.random.default_rng(0), rule.history_df
    batch = StudyBatch(studies, arms, rule, calibration.version, rng.chisquare(df, studies) / df if df else None)
    effects, noises, needed = [], [], []
    for n in range(1, rule.seeds + 1):
        batch.add(rng.standard_normal((studies, arms + 1)))
        if n in rule.looks:
            variance, dof = batch.variance()
            effects.append(batch.effect.ravel().copy())
            noises.append(np.sqrt(variance / 2).ravel())
            bound = student.quantile(1 - calibration.bound_at(n, rule) / 2, dof) * np.sqrt(variance / n)
            needed.append(bound.ravel())
    by_look, noise, need = np.stack(effects), np.stack(noises), np.stack(needed)
    shown, power, measured = np.zeros(len(_GRID)), np.zeros(len(_GRID)), 1.0
    for place, true in enumerate(_GRID):
        over = by_look + true > need
        found = over.any(axis=0)
        at = (over.argmax(axis=0)[found], np.flatnonzero(found))
        power[place] = found.mean()
        shown[place] = (by_look[at] + true).mean() if found.any() else true
        if place == _AT_ONE and found.any():
            measured = float(noise[at].mean())
    return np.maximum.accumulate(shown), measured, power
