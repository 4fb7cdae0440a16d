"""The rule of a research loop and what it answers: frozen values, fixed before the first proposal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from ablata.stats.jsonable import Jsonable

LOOP_RULE_VERSION = 2
"""Raised when the same scores could end otherwise; 2 decides nothing while equal runs score the same."""


class LoopMode(StrEnum):
    """What is held: a level for each proposal, or the share of false keeps over the whole stream."""

    PROGRESS = "progress"
    CLAIM = "claim"


LEVELS = {LoopMode.PROGRESS: 0.03, LoopMode.CLAIM: 0.10}
"""By mode: the probability of keeping a proposal that changes nothing; the false discovery rate of the stream."""
MOST_RUNS = {LoopMode.PROGRESS: 12, LoopMode.CLAIM: 24}
"""By mode: the most runs of one proposal."""


@dataclass(frozen=True, kw_only=True)
class LoopRule(Jsonable):
    """The rule of a loop, fixed when it starts.

    Attributes:
        margin: the largest difference that does not matter, in the score's unit, > 0; None: none.
        higher_is_better: False for a loss.
        mode: what is held.
        most_runs: of one proposal, >= 2; 0 stands for the mode's own number and is replaced by it.
        seek_equivalence: go on until a difference within the margin is shown or out of reach, in place of an early
            discard; for changes that are worth keeping when they change nothing, such as removed code. Without a
            margin it does nothing.
        level: in (0, 0.5): of each proposal in progress mode, the false discovery rate in claim mode; 0 stands for the
            mode's own and is replaced by it.
        version: of the rule.

    Raises:
        ValueError: a value is out of range.
    """

    margin: float | None
    higher_is_better: bool
    mode: LoopMode = LoopMode.PROGRESS
    most_runs: int = 0
    seek_equivalence: bool = False
    level: float = 0.0
    version: int = LOOP_RULE_VERSION

    @property
    def drops(self) -> bool:
        """Whether a proposal that does not look better is given up early."""
        return self.margin is None or not self.seek_equivalence

    def __post_init__(self) -> None:
        """Fill in what the mode says, and check the rest."""
        object.__setattr__(self, "mode", LoopMode(self.mode))
        object.__setattr__(self, "most_runs", self.most_runs or MOST_RUNS[self.mode])
        object.__setattr__(self, "level", self.level or LEVELS[self.mode])
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"`margin` must be above 0, or none, got {self.margin}")
        if self.most_runs < 2:
            raise ValueError(f"`most_runs` must be at least 2: nothing is kept after one run, got {self.most_runs}")
        if not 0 < self.level < 0.5:
            raise ValueError(f"`level` must lie between 0 and 0.5, got {self.level}")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The scores that a proposal is judged by, as recorded.

    Attributes:
        baseline: by seed, runs of the baseline that were not chosen for their score: after a keep fresh runs alone.
        proposal: by seed, runs of the proposal.
        pools: every other group of runs of equal code in the loop, oldest first; they tell the noise alone.
    """

    baseline: Mapping[int, float]
    proposal: Mapping[int, float]
    pools: Sequence[Sequence[float]] = ()


@dataclass(frozen=True, kw_only=True)
class More:
    """Further runs are wanted before the next look.

    Attributes:
        baseline: of the baseline; they stay with it for later proposals.
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
        outcome: whether it is kept; undecided: its runs are used up, and it may still be better.
        verdict: how it compares with the baseline.
        effect: mean of the proposal minus mean of the baseline, in the score's unit. That of a kept proposal is too
            good, since it was kept for it: its fresh runs as the next baseline say what it is worth.
        interval: of the effect, valid over all looks; without 0 for what is better or worse; None without any noise.
        confidence: of the interval: 1 - 2 level for what is kept, else 0.9.
        level: the one-sided level it was held against.
        p: the level at which these scores would just have been kept; None where that is far off.
        reason: one plain sentence.
        priority: which undecided proposal deserves a second chance first: its expected gain, in standard deviations of
            one run, drawn toward 0 as far as it is not known; higher first.
    """

    outcome: Literal["keep", "discard", "undecided"]
    verdict: Literal["better", "worse", "equivalent", "undecided"]
    effect: float
    interval: tuple[float, float] | None
    confidence: float
    level: float
    p: float | None
    reason: str
    priority: float = 0.0
