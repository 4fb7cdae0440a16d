"""What a look and a whole study return: frozen, and stored in the ledger as they are."""

from __future__ import annotations

from dataclasses import dataclass

from ablata.stats.jsonable import Jsonable
from ablata.stats.rule import Verdict


@dataclass(frozen=True, kw_only=True)
class Divergence(Jsonable):
    """Diverged runs at the seeds where an arm ran: of the arm alone, of the control alone, of both."""

    arm: int = 0
    control: int = 0
    both: int = 0

    @property
    def any(self) -> bool:
        """Whether a pair was lost."""
        return self.arm + self.control + self.both > 0


@dataclass(frozen=True, kw_only=True)
class ArmLook(Jsonable):
    """One arm at one look. Numbers are None while the pairs do not suffice for them.

    Attributes:
        arm: its column in the scores, 1..K.
        verdict: what holds after this look; `undecided` for an arm that is still open.
        open: whether the arm goes on to the next seed.
        mean_verdict: what the finished pairs say of the means alone. Differs from `verdict` for an unstable arm, and is
            then to be read "given no divergence".
        pairs: seeds n at which both the arm and the control finished.
        effect: d, mean difference arm minus control, in the metric's units.
        se: its standard error, same units.
        dof: its degrees of freedom nu.
        p_difference: two-sided p of "no difference".
        p_equivalence: p of "at least the margin apart"; None without a margin.
        bound: c_n, what a p value has to stay below at this look; None when no verdict can fall yet.
        interval: (low, high) of the effect, valid over all looks and arms of the study; None without a bound.
        confidence: 1 - the share of studies without any difference that show as small a p value; of the equivalence
            if that is the verdict, else of a difference. None without a bound.
        effect_size: effect in units of s_e, the noise of one run within a seed.
        paired: False for an arm with pairs from different environment classes.
        divergence: diverged runs, counted.
        reason: why the arm stopped or goes on, in words.
        notes: what a reader has to know beside the verdict.
    """

    arm: int
    verdict: Verdict
    open: bool
    mean_verdict: Verdict
    pairs: int
    effect: float | None
    se: float | None
    dof: float | None
    p_difference: float | None
    p_equivalence: float | None
    bound: float | None
    interval: tuple[float, float] | None
    confidence: float | None
    effect_size: float | None
    paired: bool
    divergence: Divergence
    reason: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Look(Jsonable):
    """All arms that ran in the last whole seed row.

    Attributes:
        seeds: whole seed rows n.
        arms: the arms that were open in row n, in the order of their columns.
        noise: s_e, the pooled residual standard deviation with the noise history, in the metric's units, or None.
        residual_df: its degrees of freedom.
        history_trust: how far the noise history counted, from 0 to 1; None without one.
    """

    seeds: int
    arms: tuple[ArmLook, ...]
    noise: float | None
    residual_df: float
    history_trust: float | None = None

    @property
    def open_arms(self) -> tuple[int, ...]:
        """Columns of the arms that go on to the next seed; with none left the study is over."""
        return tuple(arm.arm for arm in self.arms if arm.open)


@dataclass(frozen=True, kw_only=True)
class Outcome(Jsonable):
    """How one arm ended (or stands, if the table ends before the arm does).

    Attributes:
        arm: its column in the scores, 1..K.
        verdict: its last verdict.
        open: the table ends here, the arm does not.
        seeds: runs the arm took, diverged ones included.
        reason: why it stopped, in words.
        last: its last look.
    """

    arm: int
    verdict: Verdict
    open: bool
    seeds: int
    reason: str
    last: ArmLook


@dataclass(frozen=True, kw_only=True)
class Replay(Jsonable):
    """A whole score table decided look by look.

    Attributes:
        outcomes: one an arm, in the order of the columns.
        looks: one a seed row, until no arm was open.
    """

    outcomes: tuple[Outcome, ...]
    looks: tuple[Look, ...]

    @property
    def runs(self) -> int:
        """Runs the rule asked for, the control's included."""
        return len(self.looks) + sum(outcome.seeds for outcome in self.outcomes)
