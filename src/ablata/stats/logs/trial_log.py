"""A log of single runs, each trying one change on the best so far: which kept changes could have been noise.

A research loop runs every change once and keeps it if its score beats the best before. Were no change of any effect,
some would be kept all the same, since runs differ by chance, and the best of many runs looks better than it is. A
change is called seen if its step beyond the best before is larger than what at most `alpha` of such logs without any
effect show anywhere. Where every trial that beat the best was kept, the largest step of that walk is simulated (later
steps are small: the best is already a lucky one); else each trial is held against the level `alpha` divided by their
number (Bonferroni), which holds for any way of keeping. Runs made again of code that was kept were not chosen for their
score: where both sides have some, these alone are compared, at the level divided by the number of such changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ablata.stats.contrasts import t_quantile
from ablata.stats.distributions import normal
from ablata.stats.jsonable import Jsonable
from ablata.stats.logs.single_runs import visibility
from ablata.stats.noise import Noise
from ablata.stats.table import Floats

_LOGS = 20_000
_RAREST = 1e-15
_ENOUGH = 2
_SMALLEST = 1e-6


@dataclass(frozen=True, kw_only=True)
class TrialScore:
    """One run of a log.

    Args:
        score: finite.
        kept: whether its change was kept.
        code: equal for runs of equal code, which tell the noise; the first of them is the trial, the others repeat it.
        runs: of how many runs the score is the mean.
    """

    score: float
    kept: bool
    code: int
    runs: int = 1


@dataclass(frozen=True, kw_only=True)
class KeptTrial(Jsonable):
    """A change that was kept.

    Attributes:
        index: which of the runs.
        claimed: its score minus the best one of the kept states before, in the metric's unit: what the loop saw.
        difference: what is judged: the same, or the difference of means where code was run again.
        again: whether both sides have runs that were not chosen for their score, so that these alone are compared.
        threshold: the size from which on a step is seen; None where the noise is not known.
        seen: whether it is; None where the noise is not known.
        tolerable: the noise of one run up to which it would be seen; 0 for a step that is none.
        runs: of each side that would find a true effect of this size in 4 of 5 cases; None without noise or effect.
    """

    index: int
    claimed: float
    difference: float
    again: bool
    threshold: float | None
    seen: bool | None
    tolerable: float
    runs: int | None


@dataclass(frozen=True, kw_only=True)
class Again(Jsonable):
    """The best trial's later runs, which were not chosen for their score, beside the first state.

    Attributes:
        runs: how many.
        gain: their mean minus the mean of the first state, in the metric's unit.
        low, high: its 95% interval.
    """

    runs: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TrialLogResult(Jsonable):
    """What a log can tell.

    Attributes:
        trials: changes that were tried and have a score; the first state is none.
        noise: of one run; None where it is not known.
        kept: the changes that were kept, in order.
        discarded: changes that were not kept and have a score.
        close: how many of these two equal runs could have differed from the best by; None without noise.
        best: the index of the best kept run.
        claimed: its score minus the first state's, a mean where that was run again.
        chance: what the best of so many runs would claim on average if no change did anything; None without noise.
        chance_most: what 95 of 100 such logs claim at most.
        at_least: what is left of the claim then, in the better direction's sign; 0 where nothing is sure to be left.
        again: what the best trial's repeats say; None without noise or repeats.
        greedy: whether every trial that beat the best before was kept, and only the first state was run again.
    """

    trials: int
    noise: Noise | None
    kept: tuple[KeptTrial, ...]
    discarded: int
    close: int | None
    best: int
    claimed: float
    chance: float | None
    chance_most: float | None
    at_least: float | None
    again: Again | None
    greedy: bool


def judge_trial_log(
    runs: Sequence[TrialScore], *, noise: Noise | None = None, alpha: float = 0.05, higher_is_better: bool = True
) -> TrialLogResult:
    """Say which kept changes of a log stand out from the noise, and what the best score is worth.

    Args:
        runs: in the order they were run; the first is the state that the loop began with.
        noise: of one run, where it is known from elsewhere; None: from the repeats in the log.
        alpha: share of logs without any effect in which some change is called seen.
        higher_is_better: False for a loss.

    Raises:
        ValueError: there is no run, or a score is not finite.
    """
    if not runs or not all(math.isfinite(run.score) for run in runs):
        raise ValueError("a log must have at least one run, and every score must be finite")
    log = _Log(runs, 1.0 if higher_is_better else -1.0)
    found = noise or log.noise()
    trials = len(log.values) - 1
    kept = tuple(_kept(log, found, alpha))
    best = max(log.states, key=lambda index: log.sign * runs[index].score)
    baseline = log.fresh(0)
    claimed = runs[best].score - log.sign * _mean(baseline)
    if found is None:
        return TrialLogResult(
            trials=trials, noise=None, kept=kept, discarded=len(log.discarded), close=None, best=best, claimed=claimed,
            chance=None, chance_most=None, at_least=None, again=None, greedy=log.greedy,
        )  # fmt: skip
    most = found.sd * _largest_claim(trials, len(baseline), found.df, alpha)
    apart = t_quantile(0.975, found.df) * math.sqrt(2) * found.sd
    return TrialLogResult(
        trials=trials,
        noise=found,
        kept=kept,
        discarded=len(log.discarded),
        close=sum(gap > -apart for gap in log.discarded),
        best=best,
        claimed=claimed,
        chance=log.sign * found.sd * mean_of_best(trials + 1),
        chance_most=log.sign * most,
        at_least=log.sign * max(log.sign * claimed - most, 0.0),
        again=_again(log, best, found),
        greedy=log.greedy,
    )


def mean_of_best(runs: int) -> float:
    """Return the mean of the best of so many runs, in standard deviations of one."""
    middles = (np.arange(10_000) + 0.5) / 10_000
    return float(normal.quantile(middles ** (1 / runs)).mean()) if runs > 1 else 0.0


class _Log:
    """The walk of a log, its scores turned so that higher is better."""

    def __init__(self, runs: Sequence[TrialScore], sign: float) -> None:
        self.runs, self.sign = runs, sign
        self.values: dict[int, list[float]] = {}
        """The scores of each code."""
        for run in runs:
            self.values.setdefault(run.code, []).append(sign * run.score)
        self.kept: list[tuple[int, int, float]] = []
        """Kept changes, each with the run of the best state before, and how far its score stood above the best one."""
        self.discarded: list[float] = []
        """How far each discarded change stood above the best state before it."""
        self.states = [0]
        """The runs whose code the loop stood at."""
        missed = self._walk()
        repeated = any(len(values) > 1 for code, values in self.values.items() if code != runs[0].code)
        self.greedy = not missed and not repeated and all(run.runs == 1 for run in runs)

    def _walk(self) -> bool:
        """Follow the log; return whether a change that beat the best before it was not kept."""
        known, missed = {self.runs[0].code}, False
        best, highest = 0, self.sign * self.runs[0].score
        for index, run in enumerate(self.runs):
            if run.code in known:
                continue
            known.add(run.code)
            if run.kept:
                self.kept.append((index, best, self.sign * run.score - highest))
                self.states.append(index)
                highest = max(highest, self.sign * run.score)
                best = index if self.mean(index) > self.mean(best) else best
            else:
                gap = self.mean(index) - self.mean(best)
                self.discarded.append(gap)
                missed |= gap > 0
        return missed

    def of(self, index: int) -> list[float]:
        """The scores of a run's code."""
        return self.values[self.runs[index].code]

    def fresh(self, index: int) -> list[float]:
        """Those of them that were not chosen for being high: of a change that was kept, the runs after the first."""
        return self.of(index) if self.runs[index].code == self.runs[0].code else self.of(index)[1:]

    def count(self, index: int) -> int:
        """How many runs of its code there are."""
        return sum(run.runs for run in self.runs if run.code == self.runs[index].code)

    def mean(self, index: int) -> float:
        """The mean of all of them."""
        return _mean(self.of(index))

    def noise(self) -> Noise | None:
        """The spread of runs of equal code; None without repeats, or where they are equal to the digit.

        Runs that were chosen for being high lie apart from their repeats, so they are left out where enough others are.
        """
        firsts = {run.code: index for index, run in reversed(list(enumerate(self.runs)))}
        unchosen = [self.fresh(index) for index in firsts.values()]
        free = sum(max(len(group) - 1, 0) for group in unchosen)
        groups = [
            np.array(group) for group in (unchosen if free >= _ENOUGH else self.values.values()) if len(group) > 1
        ]
        df = sum(len(group) - 1 for group in groups)
        squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
        return Noise(variance=squares / df, df=float(df), paired=False) if squares > 0 else None


def _kept(log: _Log, noise: Noise | None, alpha: float) -> Iterator[KeptTrial]:
    trials, baseline = len(log.values) - 1, len(log.fresh(0))
    again = [bool(log.fresh(index) and log.fresh(beside)) for index, beside, _ in log.kept]
    # Two ways to be called seen share the level.
    level = alpha / 2 if any(again) and not all(again) else alpha

    for (index, beside, claimed), is_again in zip(log.kept, again, strict=True):
        own, other = (log.fresh(index), log.fresh(beside)) if is_again else (log.of(index), log.of(beside))
        step = _mean(own) - _mean(other)
        count = sum(again) if is_again else trials
        sides = (len(own), len(other)) if is_again else (log.count(index), log.count(beside))
        spread = math.sqrt(1 / sides[0] + 1 / sides[1])

        def bound(df: float, count: int = count, spread: float = spread) -> float:
            if log.greedy:
                return _largest_step(trials, baseline, df, level)
            return t_quantile(1 - level / count, df) * spread

        threshold = noise.sd * bound(noise.df) if noise else None
        yield KeptTrial(
            index=index,
            claimed=log.sign * claimed,
            difference=log.sign * step,
            again=is_again,
            threshold=threshold,
            seen=None if threshold is None else step >= threshold,
            tolerable=max(step, 0.0) / bound(math.inf),
            runs=visibility(step, noise).seeds if noise and abs(step) > _SMALLEST * noise.sd else None,
        )


def _again(log: _Log, best: int, noise: Noise) -> Again | None:
    later, first = log.fresh(best), log.fresh(0)
    if not later or log.runs[best].code == log.runs[0].code:
        return None
    gain = log.sign * (_mean(later) - _mean(first))
    half = t_quantile(0.975, noise.df) * noise.sd * math.sqrt(1 / len(later) + 1 / len(first))
    return Again(runs=len(later), gain=gain, low=gain - half, high=gain + half)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


@cache
def _largest_step(trials: int, baseline: int, df: float, alpha: float) -> float:
    """Return the step, in estimated standard deviations, that a share `alpha` of logs without any effect exceed.

    Args:
        trials: how many changes are tried, each kept if it beats the best before.
        baseline: runs of the first state, whose mean the first step is taken from.
        df: degrees of freedom of the noise; infinite where it is known.
        alpha: the share.
    """
    rng = np.random.default_rng(0)
    best = rng.standard_normal(_LOGS) / math.sqrt(baseline)
    left = np.full(_LOGS, trials, dtype=np.int64)
    largest = np.zeros(_LOGS)
    chance = normal.tail(best)
    while (left > 0).any():
        chance = np.maximum(chance, _RAREST)
        left -= rng.geometric(chance)
        rarer = rng.random(_LOGS) * chance
        beaten = -normal.quantile(rarer)
        here = left >= 0
        chance = np.where(here, rarer, chance)
        largest[here] = np.maximum(largest, beaten - best)[here]
        best = np.where(here, beaten, best)
    return float(np.quantile(largest / _estimated(df, rng), 1 - alpha))


@cache
def _largest_claim(trials: int, baseline: int, df: float, alpha: float) -> float:
    """Return what the best of all runs lies above the first state in all but `alpha` of logs without any effect."""
    rng = np.random.default_rng(0)
    best = normal.quantile(rng.random(_LOGS) ** (1 / max(trials, 1)))
    first = rng.standard_normal(_LOGS) / math.sqrt(baseline)
    return float(np.quantile(np.maximum(best - first, 0.0) / _estimated(df, rng), 1 - alpha))


def _estimated(df: float, rng: np.random.Generator) -> Floats:
    """Standard deviations as they are estimated where the true one is 1."""
    return np.sqrt(rng.chisquare(df, _LOGS) / df) if math.isfinite(df) else np.ones(_LOGS)
