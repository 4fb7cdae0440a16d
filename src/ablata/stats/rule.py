"""The rule of a study, fixed before its first run, and the words it can answer with.

Notation of this room, used in formulas: N planned seeds, n seeds seen, K arms beside the control, d effect (arm minus
control), delta margin, c the calibrated bound, s_e the noise of one run once the seed's shared part is taken out.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from ablata.stats.jsonable import Jsonable

HISTORY_DF_CAP = 20

RULE_VERSION = 3
"""The version that new studies are made with; `ablata.stats.versions` says how each judges."""


class Verdict(enum.StrEnum):
    """What a study says of one arm against its control."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"
    UNSTABLE = "unstable"


class Mode(enum.StrEnum):
    """The two named error rates: `claim` for what is published, `screen` for what is looked at again.

    The rate is family-wise: the share of studies in which any arm at any look gets a false verdict.
    """

    CLAIM = "claim"
    SCREEN = "screen"

    @property
    def alpha(self) -> float:
        """The family-wise error rate: 0.05 or 0.20."""
        return 0.05 if self is Mode.CLAIM else 0.20


@dataclass(frozen=True, kw_only=True)
class History(Jsonable):
    """Residual noise known before the study, from the same recipe family, metric and number of epochs.

    Args:
        df: its degrees of freedom, > 0. At most 20 count, so that old runs never outvote the study's own.
        variance: residual variance s_h^2 of one run within a seed, >= 0, in squared units of the metric.

    Raises:
        ValueError: an argument is out of range.
    """

    df: float
    variance: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.df) and self.df > 0):
            raise ValueError(f"`df` of a noise history must be finite and > 0, got {self.df}")
        if not (math.isfinite(self.variance) and self.variance >= 0):
            raise ValueError(f"`variance` of a noise history must be finite and >= 0, got {self.variance}")

    @property
    def weight(self) -> float:
        """The degrees of freedom that count: `df`, at most 20."""
        return min(self.df, HISTORY_DF_CAP)


@dataclass(frozen=True, kw_only=True)
class Rule(Jsonable):
    """How a study decides. Every field is fixed before the first look; a change is a new plan.

    With fewer planned seeds than `first_look` (always so for one seed) there is no look: every arm ends `undecided`,
    and its reason says that the study is too small to decide anything.

    Args:
        margin: delta > 0, in the metric's units. Arms closer to the control than this count as equivalent. None:
            nothing is called equivalent; better and worse are judged as ever.
        seeds: N >= 1, the most seeds an arm may run.
        alpha: family-wise error rate in (0, 1); `Mode.CLAIM.alpha` and `Mode.SCREEN.alpha` are the named ones.
        first_look: n0 >= 2, the number of whole seed rows before the first verdict.
        prior_df: d0 >= 0, the weight of the variance shared over arms against an arm's own. At 0 only its own counts:
            the paired t test.
        futility: stop an arm as undecided once N seeds can hardly settle it. It never makes a verdict false.
        higher_is_better: False for a loss. Turns better and worse round; the effect stays arm minus control.
        history: earlier noise of the same recipe family, or None.

    Raises:
        ValueError: an argument is out of range.
    """

    margin: float | None = None
    seeds: int = 5
    alpha: float = Mode.CLAIM.alpha
    first_look: int = 3
    prior_df: float = 4.0
    futility: bool = True
    higher_is_better: bool = True
    history: History | None = None

    def __post_init__(self) -> None:
        if self.margin is not None and not (math.isfinite(self.margin) and self.margin > 0):
            raise ValueError(f"`margin` must be finite and > 0, in the metric's units, got {self.margin}")
        if self.seeds < 1:
            raise ValueError(f"`seeds` must be at least 1, got {self.seeds}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must lie between 0 and 1, got {self.alpha}")
        if self.first_look < 2:
            raise ValueError(f"`first_look` must be at least 2: one seed shows no spread, got {self.first_look}")
        if not (math.isfinite(self.prior_df) and self.prior_df >= 0):
            raise ValueError(f"`prior_df` must be finite and >= 0, got {self.prior_df}")

    @property
    def looks(self) -> range:
        """The numbers of seeds n0..N at which a verdict can fall; empty when N < n0."""
        return range(self.first_look, self.seeds + 1)

    @property
    def too_few_seeds(self) -> str | None:
        """A line that says that no look is planned, so that every arm ends undecided; None where there is one."""
        if self.looks:
            return None
        seeds = "1 seed decides" if self.seeds == 1 else f"{self.seeds} seeds decide"
        return f"{seeds} nothing: the first verdict needs {self.first_look}, and every arm will end undecided"

    @property
    def mode(self) -> Mode | None:
        """The named mode of `alpha`, or None if it is neither."""
        return next((mode for mode in Mode if mode.alpha == self.alpha), None)

    @property
    def history_df(self) -> float:
        """Degrees of freedom the noise history adds, 0 without one."""
        return 0.0 if self.history is None else self.history.weight


def verdict_of(
    effect: float,
    p_difference: float | None,
    p_equivalence: float | None,
    bound: float | None,
    higher_is_better: bool,
) -> Verdict:
    """Return what p values say of a mean effect: equivalent first, then better or worse, else undecided.

    Args:
        effect: arm minus control.
        p_difference: two-sided p of "no difference"; None or NaN where it is not known.
        p_equivalence: p of "at least the margin apart"; None or NaN without a margin.
        bound: what a p value has to stay below; None where no verdict can fall.
        higher_is_better: False for a loss.
    """
    if bound is None:
        return Verdict.UNDECIDED
    if p_equivalence is not None and p_equivalence < bound:
        return Verdict.EQUIVALENT
    if p_difference is not None and p_difference < bound:
        return Verdict.BETTER if (effect > 0) == higher_is_better else Verdict.WORSE
    return Verdict.UNDECIDED
