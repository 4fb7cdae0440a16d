"""All that a report shows, as plain values.

A view holds no ledger row, no array and no figure: strings, numbers, booleans and tuples of them. Terminal, Markdown
and HTML are drawn from the same view, so they cannot disagree. Scores and effects are in the metric's unit; an effect
is always arm minus control, whatever direction is better.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ablata.reports.factorial.view import FactorialView
from ablata.reports.run_views import CurveView, RunView

if TYPE_CHECKING:
    from ablata.stats import AaResult
    from ablata.stats.assumptions.pairing import Pairing

VERDICTS = ("better", "worse", "equivalent", "undecided", "unstable")
"""The words a verdict can be, in the order in which reports list them."""

_BYTES = "_bytes"

DECIDED = frozenset({"better", "worse", "equivalent", "unstable"})


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its interval, in the metric's unit; `low` and `high` are None where no interval can be given."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class MetricView:
    """What was measured, how, and on which part of the data.

    Args:
        name: `accuracy`, `mean IoU`.
        protocol: the named way to score (crop, scales, flip ...).
        split: the part of the data that was scored.
        unit: `%`, `s`, or empty for a plain number. Differences of `%` are written as points.
        higher_is_better: False for a loss or an error.
    """

    name: str
    protocol: str = ""
    split: str = ""
    unit: str = ""
    higher_is_better: bool = True


@dataclass(frozen=True, kw_only=True)
class RuleView:
    """The decision rule as it was fixed before the first run: N seeds, family-wise alpha, first look, futility.

    `seen` says how many runs of each arm had ended before, so that they could be seen. `waves` are the seeds after each
    wave of a study that was extended, or may be; `levels` the rate that each was judged at. `from_items` says whether
    each arm's noise was to be read from single items too.
    """

    mode: str = "claim"
    alpha: float = 0.05
    seeds: int = 5
    first_look: int = 3
    futility: bool = True
    seen: tuple[tuple[str, int], ...] = ()
    waves: tuple[int, ...] = ()
    levels: tuple[float, ...] = ()
    extendable: bool = False
    from_items: bool = False


@dataclass(frozen=True, kw_only=True)
class JudgementView:
    """What another study said of the same question: the arm here, that study, its name for the arm, and its verdict.

    `before` says whether it was there when this study was fixed; `margin` is in the metric's unit.
    """

    arm: str
    study: str
    alias: str
    verdict: str
    seeds: int
    looks: int
    margin: float | None
    before: bool


@dataclass(frozen=True, kw_only=True)
class HistoryView:
    """Noise of one run from earlier studies, its degrees of freedom, how far it counted (0 to 1; None: no look yet)."""

    noise: float
    df: float
    trust: float | None = None


@dataclass(frozen=True, kw_only=True)
class ChangeView:
    """One setting in which an arm (or a run) differs: dotted key, value before, value after."""

    key: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.key}: {self.old} → {self.new}" if self.old or self.new else self.key

    @property
    def short(self) -> str:
        """The change with long values cut off."""
        return str(ChangeView(key=self.key, old=_short(self.old), new=_short(self.new)))


@dataclass(frozen=True, kw_only=True)
class SeedView:
    """What one seed of an arm gave.

    Args:
        seed: the seed.
        state: a run state: waiting, running, completed, failed, diverged, cancelled; `closed` if the arm had stopped.
        score: the score, or None if there is none.
        difference: score minus the control's score at the same seed, or None if either is missing.
        paired: False if arm and control ran on different environment classes.
    """

    seed: int
    state: str
    score: float | None = None
    difference: float | None = None
    paired: bool = True


@dataclass(frozen=True, kw_only=True)
class CostView:
    """Mean cost of a run of an arm; None where it was not measured.

    Args:
        seconds: wall time of one run.
        memory: peak memory in bytes.
        flops: floating-point operations of one forward pass.
        parameters: number of trainable parameters.
    """

    seconds: float | None = None
    memory: float | None = None
    flops: float | None = None
    parameters: float | None = None

    def ratios(self, control: CostView) -> CostView:
        """Return each cost divided by the control's, None where either is missing or the control's is zero."""
        pairs = ((getattr(self, name), getattr(control, name)) for name in COSTS)
        return CostView(
            **{name: a / b if a is not None and b else None for name, (a, b) in zip(COSTS, pairs, strict=True)}
        )


COSTS = ("seconds", "memory", "flops", "parameters")
_MOST_CHANGES = 4
"""Changes of an arm that a table's cell tells."""
_LONGEST = 28


@dataclass(frozen=True, kw_only=True)
class GuardView:
    """How an arm stands beside a guardrail.

    Args:
        name: of the quantity.
        allowed: how much worse it may be, in words: `+3%`.
        state: `within`, `beyond` or `open`, each at the study's level.
        seeds: pairs that count.
        effect, worst: arm minus control, and the worst difference that the runs leave open, in `unit`; None: not known.
        unit: the quantity's, or % of the control's mean.
    """

    name: str
    allowed: str
    state: str
    seeds: int = 0
    effect: float | None = None
    worst: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class ArmView:
    """One arm: what it changes, what its seeds gave, the verdict and the cost.

    Args:
        name: the arm's name within the study.
        is_control: True for exactly one arm of a study.
        changes: settings that differ from the control.
        seeds: one entry a planned seed, in order.
        mean: mean score with its 95% interval over seeds.
        effect: arm minus control, with the interval that is valid over looks and arms; None for the control and
            before the first look.
        corrected: the effect, corrected for being shown because it was large; None for an arm that is not better or
            worse.
        power: the share of such studies that find a true effect of the corrected size.
        standardised: the effect in units of the residual standard deviation.
        verdict: one of `VERDICTS`, or None if there has been no look yet.
        open: the arm goes on, so its verdict may change.
        confidence: between 0 and 1.
        guards: how it stands beside each guardrail.
        best: probability of being the best, in a study that picks.
        reason: why the arm stopped, in words.
        exploratory: why its verdict is no claim: it could have been seen before the question was fixed; else empty.
        lost_word: what is said of a run that left no score: `diverged`, or `failed` of a program's.
        notes: what a reader has to know to trust the numbers: unpaired environments, "given no divergence".
        cost: mean cost of a run.
        recipe_hash: identity of the arm's recipe.
    """

    name: str
    is_control: bool = False
    changes: tuple[ChangeView, ...] = ()
    seeds: tuple[SeedView, ...] = ()
    mean: Estimate | None = None
    effect: Estimate | None = None
    corrected: float | None = None
    power: float | None = None
    standardised: float | None = None
    verdict: str | None = None
    open: bool = False
    confidence: float | None = None
    guards: tuple[GuardView, ...] = ()
    best: float | None = None
    reason: str = ""
    exploratory: str = ""
    lost_word: str = "diverged"
    notes: tuple[str, ...] = ()
    cost: CostView = field(default_factory=CostView)
    recipe_hash: str = ""

    @property
    def done(self) -> int:
        """Number of seeds with a score."""
        return sum(seed.state == "completed" for seed in self.seeds)

    @property
    def diverged(self) -> int:
        """Number of seeds that diverged."""
        return sum(seed.state == "diverged" for seed in self.seeds)

    @property
    def lost(self) -> str:
        """How many runs left no score: `2 diverged`, `1 failed`; empty for none."""
        return f"{self.diverged} {self.lost_word}" if self.diverged else ""

    @property
    def planned(self) -> int:
        """Number of seeds that ran or may still run."""
        return sum(seed.state != "closed" for seed in self.seeds)

    @property
    def change(self) -> str:
        """The changes in one line: `model.upsample: bilinear → nearest`."""
        return "; ".join(map(str, self.changes))

    @property
    def summary(self) -> str:
        """The changes in a line that a table's cell holds: long values cut off, and how many more there are."""
        told = self.changes if len(self.changes) <= _MOST_CHANGES else self.changes[: _MOST_CHANGES - 1]
        more = len(self.changes) - len(told)
        return "; ".join([change.short for change in told] + ([f"and {more} more, below"] if more else []))


@dataclass(frozen=True, kw_only=True)
class EnvironmentView:
    """One environment class: its hash, what it consists of, and how many of the study's runs it carried."""

    name: str
    items: tuple[tuple[str, str], ...]
    runs: int


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """What the study can find with its seeds, in the metric's unit; all at 80% power."""

    detectable: float | None = None
    smallest_margin: float | None = None
    noise: float | None = None


@dataclass(frozen=True, kw_only=True)
class ProgressView:
    """How far a study is; `seconds_left` is None if it cannot be told."""

    done: int = 0
    planned: int = 0
    running: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class RoundView:
    """One round of an arm whose runs start from other runs.

    Args:
        arm: the arm.
        number: 0 for the first network of the chain.
        seeds: how many chains the means are of.
        mean: of the compared score over the seeds, with its 95% interval.
        gain: mean difference to the round before, over the seeds, with its 95% interval; None for round 0.
        worse: whether the round is worse than the one before on average.
    """

    arm: str
    number: int
    seeds: int
    mean: Estimate
    gain: Estimate | None = None
    worse: bool = False


@dataclass(frozen=True, kw_only=True)
class PickView:
    """What a study that picks says; no claim.

    Args:
        budget: runs in all.
        best: the setting to take; None as long as there are too few runs.
        regret: expected difference of the best setting to it, in the metric's unit.
        probabilities: of being the best, by setting; one that lost its runs is left out.
        effects: expected difference to the control, by setting.
        keeps: of each guardrail, in words, how probable it is that each setting keeps it; None: not known.
    """

    budget: int
    best: str | None = None
    regret: float | None = None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    effects: Mapping[str, float] = field(default_factory=dict)
    keeps: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """A study: the question, how it is decided, and all that is known so far.

    Args:
        name, question: as fixed before launch.
        metric, margin, rule: how it is decided; the margin, if there is one, is in the metric's unit.
        state: open, running, finished ...
        created, finished: times as ISO 8601 text, empty if not yet.
        arms: in the order of the study; the control may stand anywhere.
        plan, progress: what can be found, and how far it is.
        curves: learning curves by quantity.
        environments: one entry per environment class; more than one is a warning.
        fingerprints: name and value of what identifies code and data.
        code_notes: sentences on runs that differ in code where they should not; each is a warning.
        impossible: sentences on scores that cannot be what they seem; each is a warning.
        caveats: sentences on times, data and items that cannot be compared or read, and on seeds that are not judged.
        commands: what to type to repeat the study.
        runs: the runs behind it.
        rounds: the rounds of the arms whose runs were taught by other runs.
        factorial: of a factorial study, whose `arms` are its changes, each averaged over the others; else None.
        margin_percent: the margin in percent of the control's mean, where it was given so; `margin` is None until the
            control's first runs have ended.
        aa: of a study of the control against itself, what its runs show; else None.
        history: noise of earlier studies that the rule rests on too; None without.
        pairing: how far runs of the same seed moved together; None where it was not measured.
        is_seeded: whether runs take a seed, and are compared with the control's run of the same one.
        scored_on: a sentence on the test items of the score; empty where runs did not keep theirs.
        account: what other studies of the ledger said of the same questions, the oldest first.
        pick: of a study that picks, what it would take; else None.
        fork: sentences on the beginnings that arms share with the control, and what that saves; empty without any.
        incomparable: it ended without a verdict, since it is about time and too few runs can be compared in it.
    """

    name: str
    question: str
    metric: MetricView
    margin: float | None
    rule: RuleView = field(default_factory=RuleView)
    state: str = "open"
    created: str = ""
    finished: str = ""
    arms: tuple[ArmView, ...] = ()
    plan: PlanView = field(default_factory=PlanView)
    progress: ProgressView = field(default_factory=ProgressView)
    curves: tuple[CurveView, ...] = ()
    environments: tuple[EnvironmentView, ...] = ()
    fingerprints: tuple[tuple[str, str], ...] = ()
    code_notes: tuple[str, ...] = ()
    impossible: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    runs: tuple[RunView, ...] = ()
    rounds: tuple[RoundView, ...] = ()
    factorial: FactorialView | None = None
    margin_percent: float | None = None
    aa: AaResult | None = None
    history: HistoryView | None = None
    pairing: Pairing | None = None
    is_seeded: bool = True
    scored_on: str = ""
    account: tuple[JudgementView, ...] = ()
    fork: tuple[str, ...] = ()
    pick: PickView | None = None
    incomparable: bool = False

    @property
    def control(self) -> ArmView | None:
        """The arm that the others are compared with; None in a study without arms."""
        return next((arm for arm in self.arms if arm.is_control), None)

    @property
    def treatments(self) -> tuple[ArmView, ...]:
        """The arms that change something, in order."""
        return tuple(arm for arm in self.arms if not arm.is_control)


@dataclass(frozen=True, kw_only=True)
class ScorePair:
    """One score of two runs; None where a run has no such score. `comparable` is False for two
    evaluators' scores, and for times under different loads."""

    name: str
    first: float | None
    second: float | None
    comparable: bool = True

    @property
    def difference(self) -> float | None:
        """Second minus first; None where they are not comparable."""
        if self.first is None or self.second is None or not self.comparable:
            return None
        return self.second - self.first

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Name, values and difference, as a table shows them: bytes in MiB."""
        name, unit = (f"{self.name.removesuffix(_BYTES)}, MiB", 2**20) if self.name.endswith(_BYTES) else (self.name, 1)
        values = ((self.first, ""), (self.second, ""), (self.difference, "+"))
        first, second, difference = ("–" if value is None else f"{value / unit:{sign}.6g}" for value, sign in values)
        return name, first, second, difference


@dataclass(frozen=True, kw_only=True)
class CompareView:
    """Two runs side by side: settings that differ, scores, costs, and the curves both logged."""

    first: RunView
    second: RunView
    changes: tuple[ChangeView, ...] = ()
    scores: tuple[ScorePair, ...] = ()
    curves: tuple[CurveView, ...] = ()
    notes: tuple[str, ...] = ()


def as_json(view: Any) -> Any:
    """Return a view as dicts, lists and scalars that `json.dumps(..., allow_nan=False)` takes; not finite is None."""
    if dataclasses.is_dataclass(view) and not isinstance(view, type):
        return {item.name: as_json(getattr(view, item.name)) for item in dataclasses.fields(view)}
    if isinstance(view, Mapping):
        return {str(key): as_json(value) for key, value in view.items()}
    if isinstance(view, (tuple, list)):
        return [as_json(item) for item in view]
    if isinstance(view, float) and not math.isfinite(view):
        return None
    return view


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
