"""Measure false verdicts where scores have few steps, so that runs tie and some studies show no spread at all.

    python benchmarks/coarse_scores.py [--studies 4000] [--output docs/results/coarse_scores.md]

A run's score is how many of a few uncertain test items it has right; all others are the same in every run. With one
uncertain item, and 99 more, an accuracy of 100 items takes two values.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Rule, calibrate, judge_many
from ablata.stats.table import Floats
from decision_rule import hardware

CELLS = tuple((seeds, arms) for seeds in (5, 10) for arms in (1, 3))
VERSIONS = (2, 3)
ITEMS = ((1, 0.5), (1, 0.1), (2, 0.5), (4, 0.5), (4, 0.1), (16, 0.5), (64, 0.5))
"""Uncertain items, and how often a run has one right."""


def row(uncertain: int, often: float, margin: float, studies: int, *, truth: float) -> list[str]:
    """Return a cell a design: false verdicts of both versions, or with a `truth` of 2 margins those found better."""
    cells = []
    for seeds, arms in CELLS:
        rule, rng = Rule(margin=margin, seeds=seeds), np.random.default_rng(seeds * 100 + arms)
        right = np.full(arms + 1, often)
        right[1:] += truth / uncertain
        scores: Floats = rng.binomial(uncertain, right, (studies, seeds, arms + 1)).astype(np.float64)
        shares = []
        for version in VERSIONS:
            judged = judge_many(scores, rule, calibrate(arms, rule, version=version))
            false = judged.false(np.full(arms, truth), rule).any(axis=1).mean()
            shares.append(100 * (false if truth <= margin else (judged.sign[:, 0] > 0).mean()))
        cells.append(" > ".join(f"{share:.1f}" if truth <= margin else f"{share:.0f}" for share in shares))
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulation, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4_000, help="studies a cell (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    heads = " | ".join(f"N {seeds}, K {arms}" for seeds, arms in CELLS)
    lines = [f"| uncertain items, right how often (sd of a run) | truth | {heads} |", "|---" * (2 + len(CELLS)) + "|"]
    for uncertain, often in ITEMS:
        sd = math.sqrt(uncertain * often * (1 - often))
        for words, truth, margin in (("no arm differs", 0.0, 0.5), ("all at the margin", 0.5, 0.5)):
            cells = row(uncertain, often, margin, options.studies, truth=truth)
            lines.append(f"| {uncertain}, {often:.0%} ({sd:.2f}) | {words} | {' | '.join(cells)} |")
    for uncertain, size in ((4, 1.75), (16, 2.0), (64, 2.0)):
        sd = math.sqrt(uncertain) / 2
        cells = row(uncertain, 0.5, 0.5, options.studies, truth=size * sd)
        lines.append(f"| {uncertain}, 50% ({sd:.2f}) | {size:g} sd better: found | {' | '.join(cells)} |")
    error = 100 * math.sqrt(0.05 * 0.95 / options.studies)
    page = "\n".join([
        "# False verdicts where scores have few steps",
        "",
        f"{datetime.date.today()}, `python benchmarks/coarse_scores.py --studies {options.studies}`, {hardware()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}.",
        "",
        f"Percent of {options.studies} studies with a false verdict, second version of the rule > third, N seeds and "
        f"K arms beside the control, claim at 5%; one standard error is {error:.1f}. A run's score is the number of "
        "its few uncertain test items that it has right, and half an item is the margin. So runs tie, and some studies "
        "show no spread at all: the second version took that for certainty, the third gives no verdict until a run "
        "differs.",
        "",
        *lines,
    ]) + "\n"  # fmt: skip
    print(page)
    if options.output is not None:
        write_text(options.output, page)


if __name__ == "__main__":
    main()
