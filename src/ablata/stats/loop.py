"""A research loop's judge: one proposed change after another against the best so far, kept or discarded.

Every proposal is compared with fresh runs of the baseline by a sequential t test whose noise is pooled over all groups
of runs of equal code. A proposal that looks no better after its first run is discarded at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from ablata.stats.contrasts import t_quantile
from ablata.stats.distributions import student

CONFIRM_RUNS = 6
"""Fresh runs of the start and of the best that confirm a loop's gain."""
_PROGRESS_LEVEL = 0.05
_CLAIM_RATE = 0.10
_FIRST_BASELINE = 3


class LoopMode(StrEnum):
    """What is held: a level for each proposal, or the share of false keeps over the whole stream."""

    PROGRESS = "progress"
    CLAIM = "claim"


@dataclass(frozen=True, kw_only=True)
class LoopRule:
    """The rule of a loop, fixed when it starts.

    Attributes:
        margin: the largest difference that does not matter, in the score's unit; None: none.
        higher_is_better: False for a loss.
        mode: what is held.
        most_runs: of one proposal.
        seek_equivalence: go on until a difference within the margin is shown or lost, in place of a cheap discard.
        version: of the rule.
    """

    margin: float | None
    higher_is_better: bool
    mode: LoopMode = LoopMode.PROGRESS
    most_runs: int = 6
    seek_equivalence: bool = False
    version: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return it as a loop's specification holds it."""
        return asdict(self) | {"mode": self.mode.value}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Return the rule that a specification holds."""
        return cls(**{**told, "mode": LoopMode(told["mode"])})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The scores that a proposal is judged by, as recorded.

    Attributes:
        baseline: by seed, runs of the baseline that were not chosen for their score.
        proposal: by seed, runs of the proposal.
        pools: every other group of runs of equal code in the loop, which tell the noise alone.
    """

    baseline: Mapping[int, float]
    proposal: Mapping[int, float]
    pools: Sequence[Sequence[float]] = ()


@dataclass(frozen=True, kw_only=True)
class More:
    """Further runs are wanted.

    Attributes:
        baseline: of the baseline.
        proposal: of the proposal.
        reason: why, one sentence.
    """

    baseline: int
    proposal: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What became of a proposal.

    Attributes:
        outcome: whether it is kept.
        verdict: how it compares with the baseline.
        effect: proposal minus baseline, in the score's unit.
        interval: of the effect, 95%.
        level: the one-sided level it was held against.
        p: one-sided p value of "no better"; None where there is none.
        reason: one plain sentence.
        priority: of undecided ones: which is worth a second chance first.
    """

    outcome: Literal["keep", "discard", "undecided"]
    verdict: Literal["better", "worse", "equivalent", "undecided"]
    effect: float
    interval: tuple[float, float]
    level: float
    p: float | None
    reason: str
    priority: float = 0.0


@dataclass(frozen=True)
class LoopNoise:
    """The spread of one run's score; `sd` is None before any group of equal code has two runs."""

    sd: float | None
    df: int


@dataclass(frozen=True)
class LoopCost:
    """How many further runs a proposal will take, baseline included."""

    least: int
    mean: float
    most: int


@dataclass(frozen=True, kw_only=True)
class LoopGain:
    """What a loop gained, by fresh runs of its start and its best.

    Attributes:
        effect: best minus start, in the score's unit.
        interval: 95%.
        start_runs: fresh runs of the start.
        best_runs: of the best.
    """

    effect: float
    interval: tuple[float, float]
    start_runs: int
    best_runs: int


def pooled_noise(groups: Sequence[Sequence[float]]) -> LoopNoise:
    """Return the spread of a run within groups of equal code."""
    df = sum(len(group) - 1 for group in groups if len(group) > 1)
    squares = sum(_squares(group) for group in groups if len(group) > 1)
    return LoopNoise(math.sqrt(squares / df) if df else None, df)


def level_of(rule: LoopRule, stream: Sequence[bool | None]) -> float:
    """Return the one-sided level of the next proposal.

    Args:
        rule: of the loop.
        stream: whether each one before it was kept, in the order of submission; None: not known yet.
    """
    if rule.mode is LoopMode.PROGRESS:
        return _PROGRESS_LEVEL
    number = len(stream) + 1
    return _CLAIM_RATE * 6 / (math.pi**2 * number**2) * (1 + sum(kept is True for kept in stream))


def judge_proposal(rule: LoopRule, evidence: Evidence, level: float) -> More | Decision:
    """Say what becomes of a proposal, or which runs are wanted first.

    Args:
        rule: of the loop.
        evidence: the scores so far.
        level: of this proposal, by `level_of`.
    """
    own, base = list(evidence.proposal.values()), list(evidence.baseline.values())
    if len(base) < max(_FIRST_BASELINE, len(own)) or not own:
        return More(
            baseline=max(0, max(_FIRST_BASELINE, len(own)) - len(base)), proposal=0 if own else 1,
            reason="the first run of the proposal, beside fresh runs of the baseline",
        )  # fmt: skip
    noise = pooled_noise([own, base, *evidence.pools])
    sd, sign = noise.sd or 0.0, 1.0 if rule.higher_is_better else -1.0
    effect = _mean(own) - _mean(base)
    se = sd * math.sqrt(1 / len(own) + 1 / len(base))
    t = sign * effect / se if se else math.copysign(math.inf, sign * effect) if effect else 0.0
    p = float(student.tail(t, noise.df))
    half = t_quantile(0.975, noise.df) * se
    looks = max(rule.most_runs - 1, 1)
    told = {"effect": effect, "interval": (effect - half, effect + half), "level": level, "p": p}
    inside = rule.margin is not None and abs(effect) + half < rule.margin
    if len(own) > 1 and p < level / looks:
        return Decision(outcome="keep", verdict="better", reason="It is better than chance explains.", **told)  # type: ignore[arg-type]
    if inside:
        return Decision(outcome="discard", verdict="equivalent", reason="It makes no difference that matters.", **told)  # type: ignore[arg-type]
    if 1 - p < level / looks:
        return Decision(outcome="discard", verdict="worse", reason="It is worse than chance explains.", **told)  # type: ignore[arg-type]
    if t <= 0 and not (rule.seek_equivalence and rule.margin is not None):
        return Decision(outcome="discard", verdict="undecided", reason="Its runs look no better.", **told)  # type: ignore[arg-type]
    if len(own) < rule.most_runs:
        return More(baseline=max(0, len(own) + 1 - len(base)), proposal=1, reason="it may be better")
    return Decision(
        outcome="undecided", verdict="undecided", priority=t, **told,  # type: ignore[arg-type]
        reason=f"It may be better, and {rule.most_runs} runs cannot tell.",
    )  # fmt: skip


def expected_runs(rule: LoopRule, evidence: Evidence, level: float) -> LoopCost:
    """Return how many runs a proposal will take from here on, those of the baseline included."""
    missing = max(0, _FIRST_BASELINE - len(evidence.baseline))
    left = rule.most_runs - len(evidence.proposal)
    most = left + max(0, rule.most_runs - len(evidence.baseline))
    return LoopCost(missing + 1, missing + 1 + 0.3 * (most - missing - 1), most)


def honest_gain(
    rule: LoopRule, start: Mapping[int, float], best: Mapping[int, float], pools: Sequence[Sequence[float]] = ()
) -> LoopGain:
    """Return what a loop gained, by fresh runs of its start and its best.

    Raises:
        ValueError: a side has no run, or no group has two.
    """
    first, last = list(start.values()), list(best.values())
    noise = pooled_noise([first, last, *pools])
    if not first or not last or noise.sd is None:
        raise ValueError("the start and the best must have fresh runs, and some group two of them")
    effect = _mean(last) - _mean(first)
    half = t_quantile(0.975, noise.df) * noise.sd * math.sqrt(1 / len(first) + 1 / len(last))
    return LoopGain(effect=effect, interval=(effect - half, effect + half), start_runs=len(first), best_runs=len(last))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _squares(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values)
