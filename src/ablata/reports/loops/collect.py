"""A loop's report gathered from the ledger."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ablata.records.ledger import Ledger
from ablata.records.questions.loop_runs import LoopRuns
from ablata.records.rows import ProposalRow, RunRole, RunRow
from ablata.reports.loops.view import ConfirmedGain, GreedyView, LoopView, Measured, ProposalView
from ablata.stats.contrasts import t_quantile
from ablata.stats.guards import pooled_difference
from ablata.stats.loop import (
    LoopNoise,
    LoopRule,
    confirm_runs,
    findable,
    honest_gain,
    level_of,
    outliers,
    pooled_noise,
)

_HALF = 0.025
"""What a 95% interval leaves out on each side."""


_GIT = "git:"


def loop_view(ledger: Ledger, name: str) -> LoopView:
    """Return what a loop's report shows.

    Args:
        ledger: where it is.
        name: of the loop.

    Raises:
        RecordError: there is none of this name.
    """
    runs, rows = LoopRuns(ledger, name), ledger.loops.proposals(name)
    rule, metric = LoopRule.from_json(runs.loop.spec["rule"]), runs.loop.spec["metric"]
    noise = pooled_noise([list(group.values()) for group in runs.groups.values()])
    proposals = tuple(_proposal(row, rows, runs) for row in rows)
    kept = [one for one in proposals[1:] if one.outcome == "keep"]
    return LoopView(
        name=name, metric=metric["name"], unit=metric["unit"], higher_is_better=rule.higher_is_better,
        margin=rule.margin, mode=rule.mode.value, level=rule.level, most_runs=rule.most_runs,
        best=runs.loop.best, proposals=proposals,
        noise=noise.sd, still=noise.still, noise_df=round(noise.df),
        findable=_findable(rule, noise, rows), warnings=_warnings(runs),
        runs=len({one.run.id for one in runs.runs}), seconds=runs.seconds(),
        budget=runs.loop.budget, greedy=_greedy(proposals, higher_is_better=rule.higher_is_better),
        claimed=sum(one.claimed.value for one in kept if one.claimed), confirmed=_confirmed(runs, rule, noise),
        commands=tuple(runs.loop.spec["commands"]), created=runs.loop.created,
    )  # fmt: skip


def _findable(rule: LoopRule, noise: LoopNoise, rows: Sequence[ProposalRow]) -> float | None:
    tested = [row for row in rows if row.number and row.outcome != "crash"]
    level = level_of(rule, [None if row.outcome is None else row.outcome == "keep" for row in tested])
    return None if noise.sd is None else findable(rule, noise.sd, level)


def _warnings(runs: LoopRuns) -> tuple[str, ...]:
    key: tuple[int, RunRole] = (runs.loop.best, "baseline")
    pools = [list(group.values()) for other, group in runs.groups.items() if other != key]
    return tuple(found.words() for found in outliers(runs.groups.get(key, {}), pools))


def _proposal(row: ProposalRow, rows: Sequence[ProposalRow], runs: LoopRuns) -> ProposalView:
    result, groups = row.result or {}, runs.groups
    trial = groups.get((row.number, "trial" if row.number else "baseline"), {})
    fresh = list(groups.get((row.number, "baseline"), {}).values())
    pools = [list(group.values()) for group in groups.values()]
    own = [one.run for one in runs.of(row.number, "trial" if row.number else "baseline")]
    against = result.get("best")
    interval = result.get("interval") or (None, None)
    claimed = (
        Measured(
            value=result["effect"], low=interval[0], high=interval[1], runs=len(trial), confidence=result["confidence"]
        )
        if "effect" in result
        else None
    )
    return ProposalView(
        number=row.number, text=row.text, outcome=row.outcome, state=row.state, reason=str(result.get("reason", "")),
        change=", ".join(_change(row.change)), commit=str(row.recipe.get("ref") or ""), base=row.base,
        sets=tuple(text for text in row.change if not text.startswith(_GIT)),
        verdict=result.get("verdict"), first=trial[min(trial)] if trial else None,
        score=statistics.fmean(trial.values()) if trial else None, claimed=claimed,
        confirmed=_confirmed_step(row, against, groups, pools), fresh=_mean(fresh, pooled_noise(pools)),
        runs=len(trial), seconds=_cost(own, "seconds"), memory=_memory(own), against=against, decided=row.decided,
        priority=float(result.get("priority") or 0.0),
    )  # fmt: skip


def _change(texts: Sequence[str]) -> list[str]:
    return [f"commit {text.removeprefix(_GIT)[:10]}" if text.startswith(_GIT) else text for text in texts]


def _confirmed_step(
    row: ProposalRow, against: int | None, groups: Mapping[Any, Mapping[int, float]], pools: Sequence[Sequence[float]]
) -> Measured | None:
    """Return what a kept change gained, by runs of it and of the best before that were not chosen for their score."""
    own = list(groups.get((row.number, "baseline"), {}).values())
    base = list(groups.get((against, "baseline"), {}).values()) if against is not None else []
    if row.number == 0 or row.outcome != "keep" or not own or not base:
        return None
    found = pooled_difference(base, own, pools, alpha=_HALF)
    return Measured(value=found.effect, low=found.low, high=found.high, runs=len(own))


def _mean(values: Sequence[float], noise: LoopNoise) -> Measured | None:
    if not values:
        return None
    mean = statistics.fmean(values)
    if noise.sd is None or noise.still:
        return Measured(value=mean, low=None, high=None, runs=len(values))
    half = t_quantile(1 - _HALF, noise.df) * noise.sd / len(values) ** 0.5
    return Measured(value=mean, low=mean - half, high=mean + half, runs=len(values))


def _cost(runs: Sequence[RunRow], key: str) -> float | None:
    known = [float(run.cost[key]) for run in runs if run.cost and run.cost.get(key) is not None]
    return statistics.fmean(known) if known else None


def _memory(runs: Sequence[RunRow]) -> float | None:
    return _cost(runs, "peak_gpu_memory_bytes") or _cost(runs, "peak_memory_bytes")


def _greedy(proposals: Sequence[ProposalView], *, higher_is_better: bool) -> GreedyView:
    sign = 1.0 if higher_is_better else -1.0
    start = proposals[0].first
    best, kept = start, list[int]()
    for one in proposals[1:]:
        if one.first is not None and best is not None and sign * (one.first - best) > 0:
            best = one.first
            kept.append(one.number)
    return GreedyView(kept=tuple(kept), believed=0.0 if best is None or start is None else best - start)


def _confirmed(runs: LoopRuns, rule: LoopRule, noise: LoopNoise) -> ConfirmedGain | None:
    best = runs.loop.best
    first, last = (runs.groups.get((number, "confirm"), {}) for number in (0, best))
    shared = sorted(first.keys() & last.keys())
    if not best or not shared or noise.sd is None:
        return None
    sides = [{seed: group[seed] for seed in shared} for group in (first, last)]
    pools = [list(group.values()) for key, group in runs.groups.items() if key[1] != "confirm"]
    found = honest_gain(rule, sides[0], sides[1], pools)
    return ConfirmedGain(
        gain=Measured(
            value=found.effect, low=found.interval[0], high=found.interval[1], runs=found.best_runs
        ),
        start_runs=found.start_runs,
        start=statistics.fmean(sides[0].values()),
        best=statistics.fmean(sides[1].values()),
        wanted=confirm_runs(found.effect, noise.sd) if found.effect and noise.sd else None,
    )  # fmt: skip
