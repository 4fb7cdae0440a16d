"""Measure how often a study with guardrails claims "better, and within" of an arm that is not.

    python benchmarks/guardrails.py [--studies 2000] [--output docs/results/guardrails.md]

One run's standard deviation is 1 in the metric and in the guarded quantity, a quarter of its variance the seed's; 2 may
be lost of the latter. Verdict and guardrail are the product's own, at each look from three seeds on: an arm stops as it
would without guardrails, but one that is better goes on until they are answered.
"""

from __future__ import annotations

import argparse
import datetime
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Rule, calibrate, judge_many
from ablata.stats.batch import StudyBatch
from ablata.stats.distributions import student
from ablata.stats.guards import calibrate_guard, judge_guard
from ablata.stats.pick import FIRST_SEEDS, HOPELESS, beliefs, candidates, keeping, next_run
from ablata.stats.rule import RULE_VERSION
from ablata.stats.simulation import Judged
from decision_rule import hardware
from picking import draw

ALLOWED = 2.0
SIZES = ((5, 1), (5, 3), (5, 8), (10, 1), (10, 3), (10, 8))
CASES = {
    "no arm better, none costs anything": ("none", 0.0),
    "all arms better by 3, each costs just what is not allowed": ("cost", 0.0),
    "every other arm the one, the others the other": ("mixed", 0.0),
    "the same, metric and cost of a run correlated by 0.8": ("mixed", 0.8),
    "the same, by -0.8": ("mixed", -0.8),
}


def truth(case: str, arms: int) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each arm is better and how much it costs, in standard deviations of one run."""
    costly = {"none": np.zeros(arms, bool), "cost": np.ones(arms, bool)}.get(case, np.arange(arms) % 2 == 1)
    return 3.0 * costly, ALLOWED * costly


def claims(
    studies: int, seeds: int, gain: np.ndarray, cost: np.ndarray, correlation: float = 0.0, guards: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return which arms of many studies are called better, and within every guardrail, and how many seeds they took."""
    rng, arms = np.random.default_rng(seeds * 100 + len(gain)), len(gain)
    rule = Rule(seeds=seeds)

    def noise() -> np.ndarray:
        own, shared = rng.standard_normal((studies, seeds, arms + 1)), rng.standard_normal((studies, seeds, 1))
        return 0.75**0.5 * own + 0.5 * shared

    base = noise()
    judged = judge_many(base + np.concatenate([[0.0], gain]), rule, calibrate(arms, rule))
    costs = np.concatenate([[0.0], cost])
    values = [correlation * base + (1 - correlation**2) ** 0.5 * noise() + 100 + costs for _ in range(guards)]
    return answered(values, judged, rule)


def answered(guarded: list[np.ndarray], judged: Judged, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Return what `judge_guard` says of many studies, each guardrail (studies, seeds, 1 + arms), look by look."""
    shape = judged.sign.shape
    calibration, better = calibrate_guard(shape[1], rule), judged.sign > 0
    batches = [StudyBatch(shape[0], shape[1], rule, RULE_VERSION) for _ in guarded]
    within, beyond = (np.zeros((len(guarded), *shape), dtype=bool) for _ in range(2))
    seeds, ran = judged.seeds.copy(), np.ones((shape[0], rule.seeds, shape[1]), dtype=bool)
    for n in range(1, rule.seeds + 1):
        going_on = (n <= judged.seeds) | (better & ~(within | beyond).all(axis=0))
        ran[:, n - 1] = going_on
        seeds = np.where(going_on, n, seeds)
        for place, (batch, values) in enumerate(zip(batches, guarded, strict=True)):
            batch.open = going_on
            batch.add(values[:, n - 1])
            if n in rule.looks:
                variance, dof = batch.variance()
                error, bound = np.sqrt(variance / n), calibration.bound_at(n, rule)
                new = going_on & ~within[place] & ~beyond[place]
                within[place] |= new & (student.tail((ALLOWED - batch.effect) / error, dof) < bound)
                beyond[place] |= new & (student.tail((batch.effect - ALLOWED) / error, dof) < bound)
    first = np.where(np.insert(ran[0], 0, True, axis=1), guarded[0][0], np.nan)[: int(seeds[0].max())]
    told = judge_guard(first, rule, calibration, allowed=ALLOWED, higher_is_better=False)
    assert [one.state for one in told] == [
        "within" if kept else "beyond" if broken else "open"
        for kept, broken in zip(within[0, 0], beyond[0, 0], strict=True)
    ]
    return better & within.all(axis=0), seeds


def table(studies: int) -> list[str]:
    """Return a line a case."""
    lines = []
    for name, (case, correlation) in CASES.items():
        cells = [
            f"{100 * claims(studies, seeds, *truth(case, arms), correlation)[0].any(axis=1).mean():.1f}"
            if case != "mixed" or arms > 1 else "-"
            for seeds, arms in SIZES
        ]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, guards in (("found: better by 2, costs nothing", 1), ("the same with three guardrails", 3)):
        found = [claims(studies, seeds, np.full(arms, 2.0), np.zeros(arms), guards=guards) for seeds, arms in SIZES]
        lines.append(f"| {name} | {' | '.join(f'{100 * one.mean():.0f}' for one, _ in found)} |")
        lines.append(f"| - its seeds, in the mean | {' | '.join(f'{ran.mean():.1f}' for _, ran in found)} |")
    return lines


def picks(studies: int, arms: int, budget: int, noise: float) -> list[str]:
    """Return how often a pick with a guardrail takes a setting that breaks it, and its regret, as cells of a line.

    Effects are drawn from N(0, 1), costs from N(2, 1), correlated by 0.5: what is better costs more. 2 more are
    allowed.
    """
    rng = np.random.default_rng(arms)
    truth, scores = draw(studies, arms, budget, 1.0, rng)
    cost = np.zeros_like(truth)
    own = rng.standard_normal((studies, arms))
    cost[:, 1:] = ALLOWED + 0.5 * truth[:, 1:] + 0.75**0.5 * own
    values = -(cost[:, None] + noise * rng.standard_normal(scores.shape))
    seen, guard = placed(scores, values, budget)
    equal = budget // (arms + 1)
    cells = []
    for score, value in ((scores[:, :equal], values[:, :equal]), (seen, guard)):
        may = candidates(keeping(beliefs(value, shrink=False), np.full(studies, ALLOWED))[None])
        chosen = np.where(may, beliefs(score).mean, -np.inf).argmax(axis=1)
        which = np.arange(studies)
        feasible = np.where(cost <= ALLOWED, truth, -np.inf).max(axis=1)
        lost = np.maximum(feasible - truth[which, chosen], 0).mean()
        cells += [f"{100 * (cost[which, chosen] > ALLOWED).mean():.0f}", f"{lost:.3f}"]
    return cells


def placed(scores: np.ndarray, values: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and guarded values that a budget of runs sees, NaN where there is no run."""
    studies, _, settings = scores.shape
    seen, guard = np.full_like(scores, np.nan), np.full_like(values, np.nan)
    each, which = np.full((studies, settings), FIRST_SEEDS), np.arange(studies)
    seen[:, :FIRST_SEEDS], guard[:, :FIRST_SEEDS] = scores[:, :FIRST_SEEDS], values[:, :FIRST_SEEDS]
    for left in range(budget - FIRST_SEEDS * settings, 0, -1):
        top = each.max()
        state = beliefs(seen[:, :top])
        hope = candidates(keeping(beliefs(guard[:, :top], shrink=False), np.full(studies, ALLOWED))[None], HOPELESS)
        mean = np.where(hope, state.mean, state.mean.min() - 100.0)
        chosen = next_run(replace(state, mean=mean), left)
        seed = each[which, chosen]
        seen[which, seed, chosen], guard[which, seed, chosen] = scores[which, seed, chosen], values[which, seed, chosen]
        each[which, chosen] += 1
    return seen[:, : each.max()], guard[:, : each.max()]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path("docs/results/guardrails.md"))
    options = parser.parse_args()
    begun = time.perf_counter()
    lines = table(options.studies)
    choices = [
        f"| {arms} | {noise:g} | {' | '.join(picks(options.studies, arms, budget, noise))} |"
        for arms, budget in ((4, 25), (8, 45)) for noise in (0.1, 1.0)
    ]  # fmt: skip
    text = f"""# Better, and within every guardrail

{datetime.date.today()}, `python benchmarks/guardrails.py --studies {options.studies}`, {hardware()},
{time.perf_counter() - begun:.0f} s.

Percent of {options.studies} studies that call any arm `better, and within` its guardrail although it is not better or
costs what is not allowed, with up to N seeds and K arms, at claim 5%; one standard error is 0.5 at 5%. One run's
standard deviation is 1 in both, and 2 more of the guarded quantity are allowed. Last rows: percent of such arms that
are called so, and the seeds that they took.

| | N 5, K 1 | N 5, K 3 | N 5, K 8 | N 10, K 1 | N 10, K 3 | N 10, K 8 |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Metric and guardrails are looked at after each seed from the third on. An arm stops as it would without guardrails, but
one that is better goes on until they are answered or its seeds are used up; the first answer to each stays.

## Picking

A budget of five runs a setting; effects drawn from N(0, 1), costs from N(2, 1) where 2 are allowed, so that half of the
settings break the guardrail; correlated by 0.5, so that what is better costs more. Percent of studies that take one
that breaks it, and regret: by how much the best of the settings that keep it exceeds the one taken. *Equal*: as many
runs of each setting, and the same choice. A choice claims nothing, of a guardrail neither: taken is what keeps it with
a probability of 90%, as far as its runs say. Where the guarded quantity is as noisy as the metric, five runs leave many
settings out that would keep it.

| settings | noise of the guarded quantity | equal: breaks it | regret | pick: breaks it | regret |
|---|---|---|---|---|---|
{chr(10).join(choices)}
"""
    write_text(options.output, text)
    print(text)


if __name__ == "__main__":
    main()
