"""Made-up loops with known effects, judged by the rule, many at once: what its figures and its defaults rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ablata.stats.loop.bounds import BOUNDS, constant_for
from ablata.stats.loop.levels import levels_of
from ablata.stats.loop.noise import fading, look_at
from ablata.stats.loop.rule import LoopRule
from ablata.stats.table import Bools, Floats

Draw = Callable[[np.random.Generator, int], Floats]
"""Noise of one run in each of so many loops, mean 0, variance 1."""


@dataclass(frozen=True, kw_only=True)
class ProposalMix:
    """What somebody proposes: shares of changes that help and harm, the rest does nothing.

    Attributes:
        help, harm: shares.
        size: mean of an effect in standard deviations of one run; they are |N(size, size / 2)|.
    """

    help: float
    harm: float
    size: float

    def draw(self, rng: np.random.Generator, proposals: int, loops: int) -> Floats:
        """Return true effects, (proposals, loops)."""
        kind = rng.random((proposals, loops))
        effect = np.abs(rng.normal(self.size, self.size / 2, (proposals, loops)))
        return np.where(kind < self.help, effect, np.where(kind < self.help + self.harm, -effect, 0.0))


@dataclass(frozen=True, eq=False)
class LoopsPlayed:
    """Ends of many loops, (loops,) each; gains in standard deviations of one run.

    Attributes:
        gain: true difference of the last baseline to the first.
        claimed: the same by the runs that the loop had made.
        runs: all of them.
        kept: proposals.
        useless: among them with no effect or a harmful one.
    """

    gain: Floats
    claimed: Floats
    runs: Floats
    kept: Floats
    useless: Floats

    @property
    def useless_share(self) -> float:
        """Mean share of useless or harmful changes among the kept; a loop that kept none has none."""
        return float((self.useless / np.maximum(self.kept, 1)).mean())

    @property
    def gain_per_100_runs(self) -> float:
        """Mean gain by mean number of runs."""
        return float(100 * self.gain.mean() / self.runs.mean())


class _RunGroup:
    """Runs of one code in many loops: count, mean and sum of squares, updated run by run."""

    def __init__(self, loops: int) -> None:
        self.count, self.mean, self.squares = np.zeros(loops), np.zeros(loops), np.zeros(loops)

    def add(self, scores: Floats, where: Bools) -> None:
        self.count += where
        apart = scores - self.mean
        self.mean += np.where(where, apart / np.maximum(self.count, 1), 0.0)
        self.squares += np.where(where, apart * (scores - self.mean), 0.0)

    def clear(self, where: Bools) -> None:
        for value in (self.count, self.mean, self.squares):
            value[where] = 0.0

    @property
    def df(self) -> Floats:
        return np.maximum(self.count - 1, 0.0)


class _Pool(NamedTuple):
    """Noise as `pooled_noise` sums it up, in many loops."""

    squares: Floats
    df: Floats
    square_weights: Floats

    def with_group(self, group: _RunGroup) -> _Pool:
        keeps = fading(group.df)
        return _Pool(
            keeps * self.squares + group.squares,
            keeps * self.df + group.df,
            keeps**2 * self.square_weights + group.df,
        )

    @property
    def sd(self) -> Floats:
        return np.sqrt(self.squares / self.df)

    @property
    def known(self) -> Floats:
        return self.df**2 / self.square_weights


class _Loops:
    """Many loops at the same proposal, each with its baseline and its pool of noise."""

    def __init__(self, rule: LoopRule, effects: Floats, rng: np.random.Generator, draw: Draw, shared: float) -> None:
        self.rule, self.bounds, self.rng, self.draw = rule, BOUNDS[rule.mode], rng, draw
        self.loops = effects.shape[1]
        self.true, self.runs = np.zeros(self.loops), np.zeros(self.loops)
        self.pool = _Pool(np.zeros(self.loops), np.zeros(self.loops), np.zeros(self.loops))
        self.baseline = _RunGroup(self.loops)
        self.shared = shared
        self.seeds = np.zeros((0, self.loops))
        self.renew(np.ones(self.loops, dtype=np.bool_))

    def score(self, mean: Floats, number: Floats, spread: Floats | float = 1.0) -> Floats:
        """Return the scores of the runs with that number (from 0), whose seeds proposal and baseline share."""
        own = self.draw(self.rng, self.loops) * spread
        if not self.shared:
            return np.asarray(mean + own)
        common = self.seeds[number.astype(np.int64), np.arange(self.loops)]
        return np.asarray(mean + np.sqrt(1 - self.shared) * own + np.sqrt(self.shared) * common)

    def renew(self, where: Bools) -> None:
        """Measure the baseline anew, with other seeds."""
        if not where.any():
            return
        self.close(self.baseline, where)
        if self.shared:
            most = max(self.bounds.base_most, self.rule.most_runs) + 1
            fresh = self.rng.standard_normal((most, self.loops))
            self.seeds = np.where(where, fresh, self.seeds) if len(self.seeds) else fresh
        for _ in range(self.bounds.base_runs):
            self.baseline.add(self.score(self.true, self.baseline.count), where)
        self.runs += self.bounds.base_runs * where

    def close(self, group: _RunGroup, where: Bools) -> None:
        """Put a group's noise into the pool and empty it."""
        grown = self.pool.with_group(group)
        self.pool = _Pool(*(np.where(where, new, old) for new, old in zip(grown, self.pool, strict=True)))
        group.clear(where)

    def grow(self, proposal_runs: int, where: Bools) -> None:
        """Give the baseline the runs that stand beside so many of a proposal."""
        wanted = float(self.bounds.baseline_for(proposal_runs))
        while (short := where & (self.baseline.count < wanted)).any():
            self.baseline.add(self.score(self.true, self.baseline.count), short)
            self.runs += short

    def judge(self, effect: Floats, constant: Floats, spread: Floats | float) -> Bools:
        """Return in which loops the next proposal is kept."""
        group, live = _RunGroup(self.loops), np.ones(self.loops, dtype=np.bool_)
        kept = np.zeros(self.loops, dtype=np.bool_)
        for run in range(1, self.rule.most_runs + 1):
            if run > 1:
                self.grow(run, live)
            group.add(self.score(self.true + effect, group.count, spread), live)
            self.runs += live
            noise = self.pool.with_group(self.baseline).with_group(group)
            effect_seen = group.mean - self.baseline.mean
            size, info = look_at(effect_seen, noise.sd, noise.known, run, self.baseline.count)
            up = live & (run > 1) & (size >= self.bounds.keep(info, constant))
            kept |= up
            live &= ~up & (size > self.bounds.drop(info, run))
            if not live.any():
                break
        self.close(group, np.ones(self.loops, dtype=np.bool_))
        return kept


def unit_normal(rng: np.random.Generator, loops: int) -> Floats:
    """Normal noise."""
    return rng.standard_normal(loops)


def play_loops(
    rule: LoopRule,
    effects: Floats,
    rng: np.random.Generator,
    *,
    draw: Draw = unit_normal,
    shared: float = 0.0,
    spread: Floats | None = None,
) -> LoopsPlayed:
    """Run many loops over the same number of proposals, each judged alone, one after another.

    Args:
        rule: without a margin; higher is better. The noise is estimated by each loop itself.
        effects: true effects in standard deviations of one run, (proposals, loops).
        rng: the generator to draw from; it is advanced.
        draw: noise of one run.
        shared: share of the variance that runs of one seed have in common.
        spread: factor on the noise of each proposal's runs, (proposals, loops); lost again when it is kept.
    """
    state = _Loops(rule, effects, rng, draw, shared)
    first, kept = state.baseline.mean.copy(), np.zeros(effects.shape, dtype=np.bool_)
    for number, effect in enumerate(effects):
        constant = constant_for(state.bounds, levels_of(rule, kept[:number]), rule.most_runs)
        kept[number] = state.judge(effect, constant, 1.0 if spread is None else spread[number])
        state.true += np.where(kept[number], effect, 0.0)
        state.renew(kept[number])
    return LoopsPlayed(
        gain=state.true,
        claimed=state.baseline.mean - first,
        runs=state.runs,
        kept=kept.sum(axis=0).astype(np.float64),
        useless=(kept & (effects <= 0)).sum(axis=0).astype(np.float64),
    )
