"""Measure how often a study with guardrails claims "better, and within" of an arm that is not.

    python benchmarks/guardrails.py [--studies 2000] [--output docs/results/guardrails.md]

One run's standard deviation is 1 in the metric and in the guarded quantity, a quarter of its variance the seed's; 2 may
be lost of the latter. Verdict and guardrail are the product's own, each judged once, after all seeds.
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
from ablata.stats.guards import guard_bound, judge_guard
from ablata.stats.rule import RULE_VERSION
from decision_rule import hardware

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
) -> np.ndarray:
    """Return which arms of many studies are called better, and within every guardrail: bool (studies, arms)."""
    rng, arms = np.random.default_rng(seeds * 100 + len(gain)), len(gain)
    rule = Rule(seeds=seeds, first_look=seeds, futility=False)

    def noise() -> np.ndarray:
        own, shared = rng.standard_normal((studies, seeds, arms + 1)), rng.standard_normal((studies, seeds, 1))
        return 0.75**0.5 * own + 0.5 * shared

    base = noise()
    scores = base + np.concatenate([[0.0], gain])
    called = judge_many(scores, rule, calibrate(arms, rule)).sign > 0
    for _ in range(guards):
        values = correlation * base + (1 - correlation**2) ** 0.5 * noise() + 100 + np.concatenate([[0.0], cost])
        called &= within(values, rule)
    return called


def within(values: np.ndarray, rule: Rule) -> np.ndarray:
    """Return what `judge_guard` says of many studies (studies, seeds, 1 + arms) at once."""
    studies, seeds, columns = values.shape
    batch = StudyBatch(studies, columns - 1, replace(rule, first_look=2), RULE_VERSION)
    for row in range(seeds):
        batch.add(values[:, row])
    variance, dof = batch.variance()
    p = student.tail((ALLOWED - batch.effect) * np.sqrt(seeds / variance), dof)
    bound = guard_bound(columns - 1, seeds, rule.alpha, rule.prior_df)
    told = judge_guard(values[0], rule, allowed=ALLOWED, higher_is_better=False)
    assert [one.state == "within" for one in told] == (p[0] < bound).tolist()
    return np.asarray(p < bound)


def table(studies: int) -> list[str]:
    """Return a line a case."""
    lines = []
    for name, (case, correlation) in CASES.items():
        cells = [
            f"{100 * claims(studies, seeds, *truth(case, arms), correlation).any(axis=1).mean():.1f}"
            if case != "mixed" or arms > 1 else "-"
            for seeds, arms in SIZES
        ]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, guards in (("found: better by 2, costs nothing", 1), ("the same with three guardrails", 3)):
        found = [claims(studies, seeds, np.full(arms, 2.0), np.zeros(arms), guards=guards) for seeds, arms in SIZES]
        lines.append(f"| {name} | {' | '.join(f'{100 * one.mean():.0f}' for one in found)} |")
    return lines


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=Path("docs/results/guardrails.md"))
    options = parser.parse_args()
    begun = time.perf_counter()
    lines = table(options.studies)
    text = f"""# Better, and within every guardrail

{datetime.date.today()}, `python benchmarks/guardrails.py --studies {options.studies}`, {hardware()},
{time.perf_counter() - begun:.0f} s.

Percent of {options.studies} studies that call any arm `better, and within` its guardrail although it is not better or
costs what is not allowed, with N seeds and K arms, at claim 5%; one standard error is 0.5 at 5%. One run's standard
deviation is 1 in both, and 2 more of the guarded quantity are allowed. Last rows: percent of such arms that are called
so.

| | N 5, K 1 | N 5, K 3 | N 5, K 8 | N 10, K 1 | N 10, K 3 | N 10, K 8 |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

A study with guardrails has one look, after all seeds, at the metric and at each guardrail, and no arm stops before: a
guardrail that was judged at one look of a study that stops at another would be judged by a bound made for neither.
"""
    write_text(options.output, text)
    print(text)


if __name__ == "__main__":
    main()
