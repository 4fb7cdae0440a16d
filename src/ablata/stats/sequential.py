"""The sequential rule: one look after every whole seed row, until each arm has its verdict.

A group-sequential design with a bound that grows with the seeds (see `calibration`), moderated t tests against a shared
control, and a non-binding stop for futility by conditional power (Lan, Simon and Halperin 1982): stopping there yields
`undecided` and no false verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from ablata.stats import wording
from ablata.stats.calibration import Calibration
from ablata.stats.contrasts import Contrasts, contrasts, t_quantile
from ablata.stats.items.moderation import ItemEvidence
from ablata.stats.results import ArmLook, Divergence, Look, Outcome, Replay
from ablata.stats.rule import Rule, Verdict, verdict_of
from ablata.stats.table import Table

UNSTABLE_AT = 2
FUTILITY_Z = 1.28


def look(
    scores: ArrayLike,
    rule: Rule,
    calibration: Calibration,
    *,
    diverged: ArrayLike | None = None,
    unpaired: ArrayLike | None = None,
    evidence: ItemEvidence | None = None,
) -> Look:
    """Decide on all open arms after the last whole seed row.

    Args:
        scores: float (seeds, 1 + arms), column 0 the control, whole rows only; NaN where an arm was already closed or a
            run diverged. Closed arms keep their column: their noise counts, and the bound is for all arms.
        rule: as fixed before the first look; at most `rule.seeds` rows.
        calibration: `calibrate(arms, rule)` for the arms the study started with; its version of the rule decides.
        diverged: bool (seeds, 1 + arms), runs that diverged.
        unpaired: bool (seeds, arms), pairs from different environment classes.
        evidence: what single items say of each arm's noise after every row; goes with `calibrate_items`.

    Returns:
        The arms that ran in the last row, each with verdict, interval, confidence and reason.

    Raises:
        ValueError: the arrays do not fit each other (see `Table.of`), the rule or the calibration.
    """
    return _decide(_checked(scores, rule, calibration, diverged, unpaired), rule, calibration, evidence)


def replay(
    scores: ArrayLike,
    rule: Rule,
    calibration: Calibration,
    *,
    diverged: ArrayLike | None = None,
    unpaired: ArrayLike | None = None,
    evidence: ItemEvidence | None = None,
    patience: int = 0,
) -> Replay:
    """Decide a whole score table look by look, as if its rows had come one after the other.

    Args:
        scores, rule, calibration, diverged, unpaired, evidence: as for `look`. Scores of an arm at seeds after it was
            closed are not used; an arm that ends earlier without a verdict stays `undecided`.
        patience: seeds up to which no arm is stopped as one that N seeds can hardly settle.

    Returns:
        Each arm's verdict, the seeds it took and why it stopped, and all looks.

    Raises:
        ValueError: as for `look`.
    """
    table = _checked(scores, rule, calibration, diverged, unpaired)
    ran = table.ran.copy()
    last: dict[int, tuple[int, ArmLook]] = {}
    looks: list[Look] = []
    for n in range(1, table.seeds + 1):
        seen = table.seen(n, ran)
        if not seen.open_arms:
            break
        looks.append(_decide(seen, rule if n > patience else replace(rule, futility=False), calibration, evidence))
        for arm in looks[-1].arms:
            last[arm.arm] = (n, arm)
            if not arm.open:
                ran[n:, arm.arm] = False
    missing = set(range(1, table.arms + 1)) - set(last)
    if missing:
        raise ValueError(f"every arm needs at least one run, columns {sorted(missing)} have none")
    outcomes = tuple(_outcome(*last[column], rows=len(looks)) for column in sorted(last))
    return Replay(outcomes=outcomes, looks=tuple(looks))


def _checked(
    scores: ArrayLike, rule: Rule, calibration: Calibration, diverged: ArrayLike | None, unpaired: ArrayLike | None
) -> Table:
    table = Table.of(scores, diverged=diverged, unpaired=unpaired)
    if table.seeds > rule.seeds:
        raise ValueError(f"the rule was fixed for {rule.seeds} seeds, got {table.seeds} rows: plan again with more")
    if not calibration.fits(table.arms, rule):
        raise ValueError(f"the calibration must be for {table.arms} arms and this rule, got {calibration.key}")
    return table


def _outcome(seeds: int, arm: ArmLook, *, rows: int) -> Outcome:
    """The arm's end; one that vanished from the table before it had a verdict was closed from outside."""
    closed = arm.open and seeds < rows
    reason = f"closed after {wording.seeds(seeds)} without a verdict" if closed else arm.reason
    return Outcome(arm=arm.arm, verdict=arm.verdict, open=arm.open and not closed, seeds=seeds, reason=reason, last=arm)


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """The numbers of one arm at one look, and what they say before futility is asked about.

    `within` is the most pairs n the arm can reach, N without divergence.
    """

    column: int
    paired: bool
    divergence: Divergence
    pairs: int
    within: int
    effect: float
    se: float
    dof: float
    p_difference: float
    p_equivalence: float
    effect_size: float
    bound: float | None
    mean_verdict: Verdict

    @property
    def verdict(self) -> Verdict:
        return Verdict.UNSTABLE if self.divergence.arm >= UNSTABLE_AT else self.mean_verdict


def _decide(table: Table, rule: Rule, calibration: Calibration, evidence: ItemEvidence | None) -> Look:
    numbers = contrasts(table, rule, calibration.version, evidence)
    found = [_arm(column, table, numbers, rule, calibration) for column in table.open_arms]
    unsettled = sum(arm.verdict is Verdict.UNDECIDED for arm in found)
    arms = tuple(_arm_look(arm, table.seeds, unsettled, rule, calibration) for arm in found)
    variance = numbers.residual.variance
    noise = None if variance is None else math.sqrt(variance)
    return Look(
        seeds=table.seeds, arms=arms, noise=noise, residual_df=numbers.residual.df, history_trust=numbers.history_trust
    )


def _arm(column: int, table: Table, numbers: Contrasts, rule: Rule, calibration: Calibration) -> _Arm:
    at = column - 1
    only_arm, only_control, both = table.divergences(column)
    pairs, effect, se = int(numbers.pairs[at]), float(numbers.effect[at]), float(numbers.se[at])
    p_difference, p_equivalence = float(numbers.p_difference[at]), float(numbers.p_equivalence[at])
    bound = calibration.bound_at(pairs, rule) if pairs in rule.looks and not math.isnan(se) else None
    return _Arm(
        column=column,
        paired=not bool(table.unpaired[column]),
        divergence=Divergence(arm=only_arm, control=only_control, both=both),
        pairs=pairs,
        within=pairs + rule.seeds - table.seeds,
        effect=effect,
        se=se,
        dof=float(numbers.dof[at]),
        p_difference=p_difference,
        p_equivalence=p_equivalence,
        effect_size=float(numbers.effect_size[at]),
        bound=bound,
        mean_verdict=verdict_of(effect, p_difference, p_equivalence, bound, rule.higher_is_better),
    )


def _arm_look(arm: _Arm, rows: int, unsettled: int, rule: Rule, calibration: Calibration) -> ArmLook:
    undecided = arm.verdict is Verdict.UNDECIDED
    futile = _futility(arm, rows, unsettled, rule, calibration) if undecided else None
    going_on = undecided and futile is None and rows < rule.seeds
    p = arm.p_equivalence if arm.mean_verdict is Verdict.EQUIVALENT else arm.p_difference
    half = None if arm.bound is None else t_quantile(1 - arm.bound / 2, arm.dof) * arm.se
    interval = None if half is None else (arm.effect - half, arm.effect + half)
    return ArmLook(
        arm=arm.column,
        verdict=arm.verdict,
        open=going_on,
        mean_verdict=arm.mean_verdict,
        pairs=arm.pairs,
        effect=_known(arm.effect),
        se=_known(arm.se),
        dof=None if math.isnan(arm.se) else arm.dof,
        p_difference=_known(arm.p_difference),
        p_equivalence=_known(arm.p_equivalence),
        bound=arm.bound,
        interval=interval,
        confidence=None if arm.bound is None else calibration.confidence(p, arm.pairs / rule.seeds),
        effect_size=_known(arm.effect_size),
        paired=arm.paired,
        divergence=arm.divergence,
        reason=wording.reason(
            arm.verdict,
            rule,
            rows=rows,
            finished=arm.pairs,
            effect=arm.effect,
            divergence=arm.divergence,
            interval=interval,
            going_on=going_on,
            futile=futile,
        ),
        notes=wording.notes(arm.divergence, rule, paired=arm.paired, decided=arm.mean_verdict is not Verdict.UNDECIDED),
    )


def _futility(arm: _Arm, rows: int, unsettled: int, rule: Rule, calibration: Calibration) -> str | None:
    """Why the arm can hardly be settled within N seeds, or None.

    Each seed to come adds a degree of freedom for every arm that is still unsettled after this look; for an unpaired
    arm its own and the control's.
    """
    if not rule.futility or not rule.looks or rows >= rule.seeds:
        return None
    if arm.within < rule.first_look:
        # One more run may tell an arm that fails from one that failed once.
        lone = 0 < arm.divergence.arm < UNSTABLE_AT and arm.divergence.control == arm.divergence.both == 0
        return None if lone else wording.divergence_futility(arm.within, rule)
    if arm.bound is None:
        return None
    bound = calibration.bound_at(arm.within, rule)
    share = arm.pairs / arm.within
    se_end = arm.se * math.sqrt(share)
    drift = FUTILITY_Z * arm.se * math.sqrt(1 - share)
    dof = arm.dof + (arm.within - arm.pairs) * (unsettled if arm.paired else 2)
    to_differ = t_quantile(1 - bound / 2, dof) * se_end
    to_equal = -math.inf if rule.margin is None else rule.margin - t_quantile(1 - bound, dof) * se_end
    farthest, nearest = abs(arm.effect) + drift, max(abs(arm.effect) - drift, 0.0)
    if farthest < to_differ and nearest > to_equal:
        return wording.futility(farthest, nearest, to_differ, to_equal, rule)
    return None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
