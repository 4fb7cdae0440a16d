"""What a loop's report shows, plain values alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ablata.reports.figures import Figures

OUTCOMES = {"keep": "kept", "discard": "discarded", "undecided": "undecided", "crash": "crashed"}
SIGNS = {"keep": "better", "discard": "worse", "undecided": "undecided", "crash": "unstable"}
"""The verdict whose sign stands for an outcome."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A mean of runs, or a difference of two, with its interval.

    Args:
        value: the mean.
        low, high: its interval; None where the noise is not known.
        runs: how many runs it is of; of a difference those of the second side.
        confidence: of the interval.
    """

    value: float
    low: float | None
    high: float | None
    runs: int
    confidence: float = 0.95


@dataclass(frozen=True, kw_only=True)
class ProposalView:
    """A proposal.

    Args:
        number, text, outcome, state, reason: as recorded; number 0 is the start.
        change: what was changed, in words.
        commit: the git commit, of a loop of commits; else empty.
        base: the number of the proposal that it changes.
        sets: the settings that it changes, as they are typed.
        verdict: how it compared with the baseline.
        first: the score of its first run: all that a greedy loop would have seen.
        score: the mean of the runs that it was tried with.
        claimed: proposal minus baseline, as it was decided.
        confirmed: of a kept one: by runs that were made after it was kept.
        fresh: of a kept one: the mean of these runs.
        runs: that it was tried with.
        seconds, memory: of one run, in seconds and bytes, on average; None where not known.
        against: the number of the best that it was judged against.
        decided: when, seconds since 1970.
        priority: of undecided ones, which is worth a second chance first.
    """

    number: int
    text: str
    outcome: str | None
    state: str
    reason: str
    change: str
    commit: str
    base: int
    sets: tuple[str, ...]
    verdict: str | None
    first: float | None
    score: float | None
    claimed: Measured | None
    confirmed: Measured | None
    fresh: Measured | None
    runs: int
    seconds: float | None
    memory: float | None
    against: int | None
    decided: float | None
    priority: float


@dataclass(frozen=True, kw_only=True)
class GreedyView:
    """What a loop would have done that runs every change once and keeps it if its score beats the best before.

    Args:
        kept: the numbers that it would have kept.
        believed: how much it would believe to have gained.
    """

    kept: tuple[int, ...]
    believed: float


@dataclass(frozen=True, kw_only=True)
class ConfirmedGain:
    """The gain of a loop by runs that nothing was chosen by.

    Args:
        gain: best minus start.
        start_runs: runs of the start; `gain.runs` are those of the best.
        start, best: the means.
        wanted: runs of each side that would tell it to a tenth; None: more than it is worth.
    """

    gain: Measured
    start_runs: int
    start: float
    best: float
    wanted: int | None


@dataclass(frozen=True, kw_only=True)
class LoopView:
    """A loop.

    Args:
        name: of the loop.
        metric: name of what is judged.
        unit: its unit.
        higher_is_better: whether higher scores are better.
        margin: the largest difference that does not matter; None: none.
        mode: `progress` or `claim`.
        level: what is held in that mode: of a proposal, or over the stream.
        most_runs: of a proposal.
        best: number of the best so far.
        proposals: in the order of the stream, the start first.
        noise: standard deviation of one run's score; None before it is known.
        still: runs of equal code all scored the same.
        noise_df: its degrees of freedom.
        findable: the smallest gain that is kept in 8 of 10 cases with this noise; None before it is known.
        warnings: what makes the loop blind, such as a run of the baseline that went wrong.
        runs: how many there are.
        seconds: that they took.
        budget: that they may take; None: no end.
        greedy: what a greedy loop would have done.
        claimed: the sum of what the kept changes claimed.
        confirmed: the gain by fresh runs of start and best; None: not confirmed yet.
        commands: what to type to start it again.
        created: when it was started, seconds since 1970.
    """

    name: str
    metric: str
    unit: str
    higher_is_better: bool
    margin: float | None
    mode: str
    level: float
    most_runs: int
    best: int
    proposals: tuple[ProposalView, ...]
    noise: float | None
    still: bool
    noise_df: int
    findable: float | None
    warnings: tuple[str, ...]
    runs: int
    seconds: float
    budget: float | None
    greedy: GreedyView
    claimed: float
    confirmed: ConfirmedGain | None
    commands: tuple[str, ...]
    created: float

    @property
    def tried(self) -> tuple[ProposalView, ...]:
        """The proposals without the start."""
        return self.proposals[1:]

    @property
    def kept(self) -> tuple[ProposalView, ...]:
        """The kept proposals in the order in which they became the best."""
        found = [one for one in self.tried if one.outcome == "keep"]
        return tuple(sorted(found, key=lambda one: one.decided or 0.0))

    @property
    def undecided(self) -> tuple[ProposalView, ...]:
        """Those that stayed undecided, the likeliest first."""
        found = [one for one in self.tried if one.outcome == "undecided"]
        return tuple(sorted(found, key=lambda one: -one.priority))

    @property
    def best_sets(self) -> tuple[str, ...]:
        """The settings of the best that the start does not have, as they are typed."""
        found: dict[str, str] = {}
        one = self.proposals[self.best]
        while one.number:
            for text in reversed(one.sets):
                found.setdefault(text.partition("=")[0], text)
            one = self.proposals[one.base]
        return tuple(reversed(found.values()))

    def count(self, outcome: str) -> int:
        """Return how many proposals ended so."""
        return sum(one.outcome == outcome for one in self.tried)

    @cached_property
    def figures(self) -> Figures:
        """How numbers are written: two digits of the noise, else of the margin."""
        size = self.noise or self.margin or 1.0
        return Figures(decimals=min(max(1 - math.floor(math.log10(size)), 0), 12), unit=self.unit)

    def to_json(self) -> dict[str, Any]:
        """Return all of it, JSON-safe."""
        return asdict(self)
