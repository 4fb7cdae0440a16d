"""Measure how much the effect of a `better` overstates the truth, as measured and corrected, and what intervals cover.

    python benchmarks/corrected_effects.py [--studies 8000] [--output docs/results/corrected_effects.md]

One arm has an effect, the others none. One run's standard deviation is 1, a quarter of its variance is the seed's and
shared by all arms; the margin is 1.2.
"""

from __future__ import annotations

import argparse
import datetime
import time
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Rule, calibrate, draw_many, judge_many
from ablata.stats.corrected import corrected_sizes
from ablata.stats.distributions import student
from decision_rule import hardware

CELLS = tuple((seeds, arms) for seeds in (5, 10) for arms in (1, 3, 8))
EFFECTS = (0.5, 1.0, 1.5, 2.0, 3.0)


def measure(studies: int, seeds: int, arms: int, effect: float) -> tuple[float, float, float, float]:
    """Return the share of `better`, the mean effect then as measured and corrected, and what intervals cover in all.

    An interval is that of the look at which an arm was closed; those of all arms of a study have to cover together.
    """
    rule = Rule(margin=1.2, seeds=seeds)
    calibration = calibrate(arms, rule)
    rng = np.random.default_rng(1000 * seeds + arms)
    effects = [effect] + [0.0] * (arms - 1)
    scores = draw_many(studies, effects, seeds=seeds, noise=0.75**0.5, shared=0.5, rng=rng)
    found = judge_many(scores, rule, calibration)
    bound = np.array([calibration.bound_at(n, rule) for n in range(seeds + 1)])[found.seeds]
    half = student.quantile(1 - bound / 2, found.dof) * found.se
    covered = (np.abs(found.effect - np.array(effects)) <= half).all(axis=1)
    better = found.sign[:, 0] > 0
    size, wide = found.effect[better, 0], half[better, 0]
    pairs = found.seeds[better, 0].astype(np.float64)
    corrected = corrected_sizes(size, size - wide, found.se[better, 0], pairs, arms, rule, calibration)
    return float(better.mean()), float(size.mean()), float(corrected.mean()), float(covered.mean())


def table(studies: int) -> list[str]:
    """Return a line an effect and a cell a size of study."""
    lines = []
    for effect in EFFECTS:
        row = []
        for seeds, arms in CELLS:
            share, raw, corrected, covered = measure(studies, seeds, arms, effect)
            row.append(f"{raw:.2f} > {corrected:.2f} ({100 * share:.0f}; {100 * covered:.1f})")
        lines.append(f"| {effect:g} | {' | '.join(row)} |")
    return lines


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=8000)
    parser.add_argument("--output", type=Path, default=Path("docs/results/corrected_effects.md"))
    options = parser.parse_args()
    begun = time.perf_counter()
    lines = table(options.studies)
    seconds = time.perf_counter() - begun
    heads = " | ".join(f"N {seeds}, K {arms}" for seeds, arms in CELLS)
    text = f"""# How much a `better` overstates

{datetime.date.today()}, `python benchmarks/corrected_effects.py --studies {options.studies}`, {hardware()},
{seconds:.0f} s.

Mean effect shown by the studies that call the arm better, as measured > corrected (percent of studies that do; percent
in which the intervals of all arms cover), by true effect, N seeds and K arms beside the control.

| true effect | {heads} |
|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Intervals are as measured: they hold over all looks and arms, whatever the verdicts, in 95% of studies. The corrected
effect is the true one at which studies of this rule, when they find it, measure on average what was measured.
"""
    write_text(options.output, text)
    print(text)


if __name__ == "__main__":
    main()
