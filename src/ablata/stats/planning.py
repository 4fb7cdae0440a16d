"""Before any compute: what a study of this size can find, what it cannot promise, and what it will cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ablata.base.quantities import two_digits
from ablata.stats.batch import StudyBatch
from ablata.stats.calibration import Calibration, calibrate
from ablata.stats.contrasts import t_quantile
from ablata.stats.distributions import student
from ablata.stats.factors.designs import Design
from ablata.stats.jsonable import Jsonable
from ablata.stats.moderation import final_dof
from ablata.stats.rule import Rule
from ablata.stats.simulation import draw_many, judge_many

if TYPE_CHECKING:
    from ablata.stats.factors.factorial import FactorResult
    from ablata.stats.fixed import FixedArm

POWER = 0.8
MOST_SEEDS = 50
_SIMULATED = 2_000
"""Studies from which a plan reads its sizes."""
Calibrate = Callable[[int, Rule], Calibration]


@dataclass(frozen=True, kw_only=True)
class Plan(Jsonable):
    """What a study can find, with 80% power for each single arm.

    Attributes:
        arms: K, without the control.
        seeds: N, the most seeds an arm runs.
        most_runs: N * (K + 1), the runs if nothing stops early.
        noise: s_e the plan rests on, in the metric's units.
        detectable: the least true effect that is found, in the metric's units; None if the rule has no look.
        confirmable: the least margin within which an equal arm is called equivalent; None if the rule has no look.
        can_confirm: the rule has a margin, of at least `confirmable`. Otherwise `equivalent` must not be promised.
        warnings: what this study cannot do, in words.
    """

    arms: int
    seeds: int
    most_runs: int
    noise: float
    detectable: float | None
    confirmable: float | None
    can_confirm: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ExpectedRuns(Jsonable):
    """Simulated cost: mean runs per arm, the control counted as one, with its Monte-Carlo standard error."""

    per_arm: float
    error: float
    studies: int


def plan(noise: float, arms: int, rule: Rule, calibration: Calibration) -> Plan:
    """Return what the study can find.

    Args:
        noise: s_e > 0, e.g. `noise_from_scores(...).sd`, in the metric's units.
        arms: K >= 1, without the control.
        rule: the rule to be fixed.
        calibration: `calibrate(arms, rule)`.

    Raises:
        ValueError: the noise is not positive, or the calibration is for another study.
    """
    if not noise > 0:
        raise ValueError(f"`noise` must be > 0, got {noise}")
    if not calibration.fits(arms, rule):
        raise ValueError(f"the calibration must be for {arms} arms and this rule, got {calibration.key}")
    detectable = confirmable = None
    if rule.looks:
        sizes = _sizes_of_first_version if calibration.version == 1 else _simulated_sizes
        history = None if rule.history is None else replace(rule.history, variance=1.0)
        detectable, confirmable = (
            noise * size for size in sizes(arms, replace(rule, margin=None, history=history), calibration)
        )
    return Plan(
        arms=arms,
        seeds=rule.seeds,
        most_runs=rule.seeds * (arms + 1),
        noise=noise,
        detectable=detectable,
        confirmable=confirmable,
        can_confirm=_at_most(confirmable, rule.margin),
        warnings=_warnings(rule, detectable, confirmable),
    )


def _sizes_of_first_version(arms: int, rule: Rule, calibration: Calibration) -> tuple[float, float]:
    """Return the detectable effect and the confirmable margin for a noise of 1, from the last look's quantiles."""
    c, unit = calibration.bound, (2 / rule.seeds) ** 0.5
    dof = final_dof(arms, rule.seeds, rule.prior_df, rule.history_df, calibration.version)
    detectable = t_quantile(1 - c / 2, dof) + t_quantile(POWER, dof)
    confirmable = t_quantile(1 - c, dof) + t_quantile((1 + POWER) / 2, dof)
    return detectable * unit, confirmable * unit


@lru_cache(maxsize=256)
def _simulated_sizes(arms: int, rule: Rule, calibration: Calibration) -> tuple[float, float]:
    """Return the detectable effect and the confirmable margin for a noise of 1, from simulated studies of equal arms.

    An effect added to an arm moves its mean and no variance. So each study tells the least effect at which the arm
    would be called better at some look, and the least margin within which it is called equivalent; the shares of
    studies are those of these.
    """
    rng, df = np.random.default_rng(0), rule.history_df
    history = rng.chisquare(df, _SIMULATED) / df if df else None
    batch = StudyBatch(_SIMULATED, arms, rule, calibration.version, history)
    effect, margin = np.full((_SIMULATED, arms), np.inf), np.full((_SIMULATED, arms), np.inf)
    for n in range(1, rule.seeds + 1):
        batch.add(rng.standard_normal((_SIMULATED, arms + 1)))
        if n in rule.looks:
            variance, dof = batch.variance()
            se, c = np.sqrt(variance / n), calibration.bound_at(n, rule)
            effect = np.minimum(effect, student.quantile(1 - c / 2, dof) * se - batch.effect)
            margin = np.minimum(margin, student.quantile(1 - c, dof) * se + np.abs(batch.effect))
    return float(np.quantile(effect, POWER)), float(np.quantile(margin, POWER))


def plan_factorial(noise: float, design: Design, rule: Rule, calibration: Calibration) -> Plan:
    """Return what a factorial study can find; effects are those of a change, averaged over the others.

    Args:
        noise: standard deviation of one run within a seed, > 0, in the metric's units.
        design: of the study.
        rule: the rule to be fixed.
        calibration: `calibrate_factorial(design, rule)`.

    Returns:
        The plan; `arms` counts the changes.

    Raises:
        ValueError: the noise is not positive.
    """
    if not noise > 0:
        raise ValueError(f"`noise` must be > 0, got {noise}")
    detectable = confirmable = None
    if rule.looks:
        c, dof = calibration.bound, rule.prior_df + rule.seeds - 1
        unit = noise * 2 / (design.cells * rule.seeds) ** 0.5
        detectable = (t_quantile(1 - c / 2, dof) + t_quantile(POWER, dof)) * unit
        confirmable = (t_quantile(1 - c, dof) + t_quantile((1 + POWER) / 2, dof)) * unit
    return Plan(
        arms=design.factors,
        seeds=rule.seeds,
        most_runs=rule.seeds * design.cells,
        noise=noise,
        detectable=detectable,
        confirmable=confirmable,
        can_confirm=_at_most(confirmable, rule.margin),
        warnings=_warnings(rule, detectable, confirmable),
    )


def seeds_for_effect(
    effect: float, noise: float, arms: int, rule: Rule, *, calibrate: Calibrate = calibrate, most: int = MOST_SEEDS
) -> int | None:
    """Return the least N that finds a true effect with 80% power, or None if `most` seeds do not.

    Args:
        effect: its size > 0, in the metric's units.
        noise: s_e > 0, same units.
        arms: K, without the control.
        rule: all but its number of seeds is used.
        calibrate: makes or looks up the calibration of a rule; asked about once for each halving of the range.
        most: the largest N to consider.
    """
    return _least_seeds(lambda made: _at_most(made.detectable, effect), noise, arms, rule, calibrate, most)


def seeds_for_margin(
    margin: float, noise: float, arms: int, rule: Rule, *, calibrate: Calibrate = calibrate, most: int = MOST_SEEDS
) -> int | None:
    """Return the least N that calls an equal arm equivalent within `margin` with 80% power. As `seeds_for_effect`."""
    return _least_seeds(lambda made: _at_most(made.confirmable, margin), noise, arms, rule, calibrate, most)


@dataclass(frozen=True, kw_only=True)
class Settlement(Jsonable):
    """What would settle an arm that stayed undecided, with 80% power; about right, no promise.

    Attributes:
        seeds: how many seeds, more than the study had; None if not even `most` would do.
        margin: the margin within which the study's own number of seeds would show equivalence, in the metric's units;
            None if the rule has no look.
    """

    seeds: int | None
    margin: float | None

    def words(self, what: str) -> str:
        """Say it; `what` is needed more of, such as `fresh seeds`."""
        many = f"about {self.seeds}" if self.seeds is not None else f"more than {MOST_SEEDS}"
        margin = f", or a margin of {two_digits(self.margin)}" if self.margin is not None else ""
        return f"To settle it: {many} {what}{margin}"


@lru_cache(maxsize=1024)  # a study is shown in the terminal, on its page and in what is returned
def to_settle(effect: float, noise: float, arms: int, rule: Rule, *, most: int = MOST_SEEDS) -> Settlement:
    """Return what would settle an undecided arm, if its effect is what was measured.

    Args:
        effect: as measured, in the metric's units.
        noise: s_e > 0, same units.
        arms: K, without the control.
        rule: the study's rule.
        most: the largest N to consider.
    """

    def settles(made: Plan) -> bool:
        finds = made.detectable is not None and made.detectable <= abs(effect)
        confirms = made.confirmable is not None and _at_most(abs(effect) + made.confirmable, rule.margin)
        return finds or confirms

    confirmable = plan(noise, arms, rule, rough_calibration(arms, rule)).confirmable
    seeds = _least_seeds(settles, noise, arms, rule, rough_calibration, most, above=rule.seeds)
    return Settlement(seeds=seeds, margin=None if confirmable is None else abs(effect) + confirmable)


def rough_settlement(found: FactorResult | FixedArm, runs: int, margin: float | None) -> Settlement | None:
    """Return about what would settle an effect that was judged once, or averaged over other changes.

    The noise is taken to be what it was, and the bound too: sizes go down with the root of the number of runs.

    Args:
        found: how it was judged.
        runs: of each side.
        margin: of the question; None: none.

    Returns:
        What would; None where the noise is not known.
    """
    if found.interval is None or found.effect is None or not found.se or found.dof is None:
        return None
    half, effect = (found.interval[1] - found.interval[0]) / 2, abs(found.effect)
    detectable = half + t_quantile(POWER, found.dof) * found.se
    confirmable = half + t_quantile((1 + POWER) / 2, found.dof) * found.se
    sizes = [(detectable, effect)] + ([] if margin is None else [(confirmable, margin - effect)])
    least = min((runs * (size / room) ** 2 for size, room in sizes if room > 0), default=math.inf)
    seeds = max(math.ceil(least), runs + 1) if least <= MOST_SEEDS else None
    return Settlement(seeds=seeds, margin=effect + confirmable)


@cache
def rough_calibration(arms: int, rule: Rule) -> Calibration:
    """Return a bound from a tenth of the simulated studies: good to a few percent, in a tenth of the time."""
    return calibrate(arms, rule, studies=2000)


def expected_runs(
    effects: Sequence[float], noise: float, rule: Rule, calibration: Calibration, *, studies: int = 1000, seed: int = 0
) -> ExpectedRuns:
    """Simulate the study and return the mean number of runs per arm under the rule.

    Args:
        effects: assumed true effects of the K arms, in the metric's units; all 0 for "nothing helps".
        noise: s_e > 0, same units.
        rule, calibration: as for `plan`.
        studies: simulated studies, >= 2.
        seed: of the simulation's own generator.
    """
    scores = draw_many(studies, effects, seeds=rule.seeds, noise=noise, rng=np.random.default_rng(seed))
    runs = judge_many(scores, rule, calibration).runs / (len(effects) + 1)
    return ExpectedRuns(per_arm=float(runs.mean()), error=float(runs.std(ddof=1) / studies**0.5), studies=studies)


def _at_most(figure: float | None, wanted: float | None) -> bool:
    return figure is not None and wanted is not None and figure <= wanted


def _warnings(rule: Rule, detectable: float | None, confirmable: float | None) -> tuple[str, ...]:
    if detectable is None or confirmable is None:
        return (
            f"{rule.seeds} seeds decide nothing: the first verdict needs {rule.first_look}, every arm stays undecided",
        )
    if rule.margin is None:
        return ("without a margin no arm is called equivalent: one that changes nothing stays undecided",)
    found = []
    if rule.margin < confirmable:
        found.append(
            f"{rule.seeds} seeds cannot show equivalence within {rule.margin:g}: do not expect `equivalent`; they can "
            f"within {two_digits(confirmable)} or more"
        )
    if rule.margin < detectable:
        found.append(f"effects between {rule.margin:g} and {two_digits(detectable)} will often stay undecided")
    return tuple(found)


def _least_seeds(
    settles: Callable[[Plan], bool],
    noise: float,
    arms: int,
    rule: Rule,
    calibrate: Calibrate,
    most: int,
    *,
    above: int = 0,
) -> int | None:
    """Double N, then bisect; a plan that settles does so with more seeds too, and small N are quick to calibrate."""

    def enough(seeds: int) -> bool:
        sized = replace(rule, seeds=seeds)
        return settles(plan(noise, arms, sized, calibrate(arms, sized)))

    low = high = max(rule.first_look, above + 1)
    while high <= most and not enough(high):
        low, high = high + 1, min(2 * high, most) if high < most else most + 1
    if high > most:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
