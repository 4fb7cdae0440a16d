"""What a loop can find with the noise it has, and runs of a baseline that make it blind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablata.stats.distributions import student
from ablata.stats.loop.bounds import BOUNDS, constant_for, course, scale_of
from ablata.stats.loop.noise import pooled_noise
from ablata.stats.loop.rule import LoopRule

FOUND = 0.8
"""How often a change that can be found is kept."""
_OUTLYING = 0.01
_LARGEST = 20.0


def findable(rule: LoopRule, sd: float, level: float, *, power: float = FOUND) -> float:
    """Return the smallest true gain that is kept so often, the noise of a run being `sd`.

    Args:
        rule: of the loop.
        sd: noise of one run, in the score's unit, >= 0.
        level: of the next proposal, by `level_of`.
        power: probability of being kept.
    """
    bounds, scale = BOUNDS[rule.mode], scale_of(rule.margin, sd)
    constant = float(constant_for(bounds, level, rule.most_runs, scale=scale, drops=rule.drops))
    low, high = 0.0, _LARGEST
    while high - low > 0.01:
        middle = (low + high) / 2
        found = course(bounds, constant, rule.most_runs, drift=middle / scale, scale=scale, drops=rule.drops)
        low, high = (low, middle) if found.kept.sum() >= power else (middle, high)
    return high * sd


@dataclass(frozen=True)
class Outlier:
    """A run that scored far from the others of its code.

    Attributes:
        seed: of the run.
        score: its score.
        low, high: the least and the greatest score of the others.
        others: how many they are.
        sd: the noise without it; the noise of the whole loop is larger while it counts.
    """

    seed: int
    score: float
    low: float
    high: float
    others: int
    sd: float

    def words(self, proposal: int | None = None, *, is_lucky: bool = False) -> str:
        """Return it as a sentence.

        Args:
            proposal: the number of the proposal whose run it is; None: the baseline's.
            is_lucky: it is better than the others.
        """
        who = "the baseline" if proposal is None else f"proposal {proposal}"
        others = f"the other {self.others} ({self.low:.4g} to {self.high:.4g})"
        far = f"the other one ({self.low:.4g})" if self.others == 1 else others
        effect, mend = "the proposal can hardly be kept", f"ablata loop retry {proposal} tries it again"
        if is_lucky:
            effect = "the proposal may be kept for it alone"
            mend = "ablata loop confirm tells by fresh runs what a kept change is worth"
        if proposal is None:
            effect = "small changes are not found"
            mend = "start a loop of another name from the best so far, with another --first-seed"
        return (
            f"seed {self.seed} of {who} scored {self.score:.4g}, far from {far}; while it counts, {effect}. If it went "
            f"wrong for a reason outside the code, {mend}"
        )


def outliers(group: Mapping[int, float], pools: Sequence[Sequence[float]] = ()) -> list[Outlier]:
    """Return the runs of equal code that differ from the others more than chance explains, at 1% for all together.

    Each run is held against the mean of the others, by the noise of the others and of the loop's other groups (the
    externally studentized residual; Grubbs 1950 with a pooled variance). Of two runs both differ, or neither.

    Args:
        group: scores of the runs by seed.
        pools: every other group of runs of equal code, oldest first.
    """
    found = []
    for seed, score in group.items() if len(group) > 1 else ():
        rest = [value for other, value in group.items() if other != seed]
        noise = pooled_noise([*pools, rest])
        apart = abs(score - math.fsum(rest) / len(rest))
        if noise.sd is None or apart == 0:
            continue
        error = noise.sd * math.sqrt(1 + 1 / len(rest))
        if error == 0 or 2 * float(student.tail(apart / error, noise.df)) * len(group) < _OUTLYING:
            found.append(Outlier(seed, score, min(rest), max(rest), len(rest), noise.sd))
    return found
