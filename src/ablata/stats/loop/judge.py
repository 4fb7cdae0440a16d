"""One proposal against the baseline: which runs are wanted next, or what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ablata.stats.loop.bounds import BOUNDS, constant_for, course, level_at, scale_of
from ablata.stats.loop.noise import LoopNoise, information, look_at, pooled_noise, student_score
from ablata.stats.loop.rule import Decision, Evidence, LoopRule, More

_STILL_RUNS = 3
"""Runs of a proposal after which nothing is decided, where no two runs of equal code differ."""
_SHOWN = 0.05
"""One-sided level of what is said of a proposal that is not kept: worse, equivalent, its interval."""


@dataclass(frozen=True)
class LoopCost:
    """How many further runs a proposal takes, those of the baseline included.

    Attributes:
        least: if it is given up after its first run.
        mean: expected, if it changes nothing.
        most: if it is judged to the end.
    """

    least: int
    mean: float
    most: int


def judge_proposal(rule: LoopRule, evidence: Evidence, level: float) -> More | Decision:
    """Say what becomes of a proposal, or which runs are wanted first.

    Called again with the new scores until it decides, it asks for at most `rule.most_runs` runs of the proposal.

    Args:
        rule: of the loop.
        evidence: the scores so far; finite.
        level: of this proposal, by `level_of`.

    Raises:
        ValueError: the level is out of range, or a score is not finite.
    """
    if not 0 < level < 0.5:
        raise ValueError(f"`level` must lie between 0 and 0.5, got {level}")
    own, base = _finite(evidence.proposal.values()), _finite(evidence.baseline.values())
    bounds = BOUNDS[rule.mode]
    if not len(own) or len(base) < bounds.base_runs:
        return More(
            baseline=max(0, bounds.base_runs - len(base)),
            proposal=0 if len(own) else 1,
            reason="a first run of the proposal, beside fresh runs of the baseline",
        )
    return _Look(rule, own, base, pooled_noise([*evidence.pools, base, own]), level).answer()


class _Look:
    """One look at a proposal; all sizes turned so that higher is better."""

    def __init__(self, rule: LoopRule, own: list[float], base: list[float], noise: LoopNoise, level: float) -> None:
        self.rule, self.bounds, self.noise, self.level = rule, BOUNDS[rule.mode], noise, level
        self.runs, self.base_runs = len(own), len(base)
        self.sign = 1.0 if rule.higher_is_better else -1.0
        self.effect = math.fsum(own) / self.runs - math.fsum(base) / self.base_runs
        self.sd, self.df = noise.sd or 0.0, max(noise.df, 1.0)
        self.still = noise.still and rule.version > 1
        self.scale = scale_of(rule.margin, self.sd)
        self.size, self.info = (
            float(value)
            for value in look_at(self.sign * self.effect, self.sd, self.df, self.runs, self.base_runs, self.scale)
        )

    def constant(self, level: float) -> float:
        return float(constant_for(self.bounds, level, self.rule.most_runs, scale=self.scale, drops=self.rule.drops))

    def half_width(self, level: float) -> float:
        """Return how far an effect must lie from a value to exclude it, in the score's unit."""
        z = float(self.bounds.keep(self.info, self.constant(level))) / math.sqrt(self.info)
        error = self.sd * math.sqrt(1 / self.runs + 1 / self.base_runs)
        return error * student_score(z, self.df)

    def answer(self) -> More | Decision:
        """Return what the lines say, the strongest statement first."""
        if self.still:
            return self.without_noise()
        gain, shown = self.sign * self.effect, self.half_width(_SHOWN)
        if self.runs > 1 and self.size >= self.bounds.keep(self.info, self.constant(self.level)):
            often = f"{100 * self.level:.2g}%"
            return self.decide(
                "keep", "better", f"{self.told()}: at most {often} of changes that do nothing come this far"
            )
        margin = self.rule.margin
        if margin is not None and self.runs > 1 and abs(gain) + shown < margin:
            return self.decide("discard", "equivalent", f"{self.told()}: within the margin of {margin:g}")
        if -gain >= shown and (self.rule.drops or -gain >= (margin or 0.0)):
            return self.decide("discard", "worse", f"{self.told()}: worse than chance explains")
        if self.given_up():
            return self.decide("discard", "undecided", f"{self.told()}: not enough to go on with")
        if self.runs >= self.rule.most_runs:
            reason = f"{self.told()}: it may be better, and {self.runs} runs cannot tell"
            return self.decide("undecided", "undecided", reason)
        wanted = int(self.bounds.baseline_for(self.runs + 1))
        return More(
            baseline=max(0, wanted - self.base_runs),
            proposal=1,
            reason=f"{self.told()}: it may be better, not yet shown",
        )

    def without_noise(self) -> More | Decision:
        """Return what follows while runs of equal code score the same: nothing tells what chance does."""
        size = f"{self.effect:+.3g}" if self.effect else "0"
        if self.rule.drops and self.sign * self.effect <= 0:
            return self.decide("discard", "undecided", f"the difference is {size}: not enough to go on with")
        if self.runs < min(_STILL_RUNS, self.rule.most_runs):
            return More(baseline=0, proposal=1, reason="equal runs score the same so far: a further one may not")
        return self.decide(
            "undecided", "undecided",
            f"the difference is {size}, and runs of equal code score the same: nothing tells what chance does. "
            "Let {seed} reach the training, or take a score of finer steps",
        )  # fmt: skip

    def given_up(self) -> bool:
        """Return whether a useful change seldom looks like this; whoever seeks equivalence waits for worse."""
        if self.rule.drops:
            return bool(self.size <= self.bounds.drop(self.info, self.runs))
        return self.sign * self.effect <= -(self.rule.margin or 0.0)

    def told(self) -> str:
        """Return the difference in words."""
        runs = f"{self.runs} run{'s' if self.runs > 1 else ''} against {self.base_runs} of the baseline"
        better = self.sign * self.effect > 0
        how = "better" if better else "worse"
        size = f"{abs(self.effect):.3g} {how}" if self.effect else "no difference"
        return f"{size} in {runs}, where one run has a noise of {self.sd:.2g}"

    def decide(self, outcome: str, verdict: str, reason: str) -> Decision:
        """Return a decision with what is shown of it: effect, interval and level as they stand.

        Args:
            outcome: keep, discard or undecided.
            verdict: better, worse, equivalent or undecided.
            reason: a sentence.
        """
        shown = self.level if outcome == "keep" else _SHOWN
        half = self.half_width(shown)
        interval = None if self.still else (self.effect - half, self.effect + half)
        held = level_at(
            self.bounds, self.size - self.bounds.keep_slope * self.info, self.rule.most_runs,
            scale=self.scale, drops=self.rule.drops,
        )  # fmt: skip
        plain = float(information(self.runs, self.base_runs))
        return Decision(
            outcome=outcome,  # type: ignore[arg-type]
            verdict=verdict,  # type: ignore[arg-type]
            effect=self.effect,
            interval=interval,
            confidence=1 - 2 * shown,
            level=self.level,
            p=held if held < 0.2 and not self.still else None,
            reason=reason,
            priority=self.sign * self.effect / self.sd * plain / (1 + plain) if self.sd and not self.still else 0.0,
        )


def expected_runs(rule: LoopRule, evidence: Evidence, level: float) -> LoopCost:
    """Return how many runs a proposal takes from here on, those of the baseline included.

    Args:
        rule: of the loop.
        evidence: what there is; usually no run of the proposal yet.
        level: of this proposal, by `level_of`.
    """
    bounds, have = BOUNDS[rule.mode], len(evidence.baseline)
    done = len(evidence.proposal)
    noise = pooled_noise([*evidence.pools, list(evidence.baseline.values()), list(evidence.proposal.values())])
    scale, drops = scale_of(rule.margin, noise.sd or 0.0), rule.drops
    constant = float(constant_for(bounds, level, rule.most_runs, scale=scale, drops=drops))
    found = course(
        bounds, constant, rule.most_runs, baseline=max(have, bounds.base_runs), scale=scale, drops=drops
    ).reached
    beside = np.maximum(bounds.baseline_for(np.arange(1, rule.most_runs + 1)), max(have, bounds.base_runs))
    beside[0] = max(have, bounds.base_runs)
    new = np.diff(np.concatenate([[have], beside]))
    missing = max(0, bounds.base_runs - have)
    ahead = found[done:] / found[done] if done < len(found) and found[done] else np.zeros(0)
    return LoopCost(
        least=missing + (0 if done else 1),
        mean=float((ahead * (1 + new[done:])).sum()),
        most=int((1 + new[done:]).sum()),
    )


def _finite(scores: Iterable[float]) -> list[float]:
    values = [float(score) for score in scores]
    if not all(math.isfinite(value) for value in values):
        raise ValueError("scores must be finite; a run that diverged or crashed is an outcome of its own")
    return values
