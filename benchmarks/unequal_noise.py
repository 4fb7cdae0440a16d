"""Measure false verdicts of the decision rule where its noise is not as assumed, and what that costs in power.

    python benchmarks/unequal_noise.py [--studies 6000] [--runs runs.csv] [--output docs/results/unequal_noise.md]

Studies in which no arm differs, with noise of several shapes; one run's standard deviation is 1, a quarter of its
variance is the seed's and shared by all arms. `--runs` names a CSV of real runs with columns `setting` and `val_loss`:
runs of one setting are dealt to the arms of a study, so that again nothing differs.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import History, Rule, calibrate, judge_many
from ablata.stats.table import Floats
from decision_rule import hardware

SHARED = 0.25
MARGIN = 1.2
CELLS = tuple((seeds, arms) for seeds in (5, 10) for arms in (1, 3, 8))
VERSIONS = (1, 2)
Shape = Callable[[np.random.Generator, tuple[int, int, int]], Floats]


def normal(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Normal noise, equal for all."""
    return rng.standard_normal(shape)


def heavy(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Student's t with 3 degrees of freedom."""
    return np.asarray(rng.standard_t(3, shape) / math.sqrt(3))


def skewed(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Exponential noise."""
    return rng.exponential(1, shape) - 1


def outliers(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Three in a hundred runs lose 6 standard deviations."""
    return np.where(rng.random(shape) < 0.03, -6.0, 0.0) + rng.standard_normal(shape)


def loud(column: int, factor: float) -> Shape:
    """One column, 0 the control, with `factor` times the noise."""

    def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
        noise = rng.standard_normal(shape)
        noise[:, :, column] *= factor
        return noise

    return draw


def uneven(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Every arm with its own noise, log standard deviation 0.4."""
    return np.asarray(rng.standard_normal(shape) * np.exp(0.4 * rng.standard_normal((shape[0], 1, shape[2]))))


def shared_by_arms(rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Half of the arms' noise is common to all arms of a seed, and the control lacks it."""
    noise = rng.standard_normal(shape)
    noise[:, :, 1:] = math.sqrt(0.5) * (noise[:, :, 1:] + rng.standard_normal((*shape[:2], 1)))
    return noise


SHAPES: dict[str, Shape] = {
    "normal": normal,
    "t with 3 degrees of freedom": heavy,
    "skewed (exponential)": skewed,
    "3% outliers of 6 sd": outliers,
    "one arm 3 times as noisy": loud(-1, 3.0),
    "control twice as noisy": loud(0, 2.0),
    "control 3 times as noisy": loud(0, 3.0),
    "every arm's noise its own, log-sd 0.4": uneven,
    "arms share half of their noise": shared_by_arms,
}


def draw(shape: Shape, studies: int, seeds: int, arms: int, rng: np.random.Generator) -> Floats:
    """Return (studies, seeds, 1 + arms) scores without any effect."""
    own = shape(rng, (studies, seeds, arms + 1))
    return math.sqrt(SHARED) * rng.standard_normal((studies, seeds, 1)) + math.sqrt(1 - SHARED) * own


def family_wise(scores: Floats, rule: Rule, version: int, history: Floats | None = None) -> float:
    """Percent of studies with any `better` or `worse`; nothing differs."""
    calibration = calibrate(scores.shape[2] - 1, rule, version=version)
    return float(100 * (judge_many(scores, rule, calibration, history=history).sign != 0).any(axis=1).mean())


def false_verdicts(studies: int) -> list[str]:
    """The table of false verdicts, both versions in each cell."""
    lines = []
    for name, shape in SHAPES.items():
        row = []
        for seeds, arms in CELLS:
            scores = draw(shape, studies, seeds, arms, np.random.default_rng(seeds * 100 + arms))
            shares = [family_wise(scores, Rule(margin=MARGIN, seeds=seeds), version) for version in VERSIONS]
            row.append(" > ".join(f"{share:.1f}" for share in shares))
        lines.append(f"| {name} | {' | '.join(row)} |")
    return lines


def power(studies: int) -> list[str]:
    """Percent of true effects of 1 and 2 sd that are called better, with the runs an arm, both versions each."""
    lines = []
    for effect in (1.0, 2.0):
        row = []
        for seeds, arms in CELLS:
            rule = Rule(margin=MARGIN, seeds=seeds)
            scores = draw(normal, studies, seeds, arms, np.random.default_rng(seeds * 100 + arms))
            scores[:, :, 1] += effect
            found = [judge_many(scores, rule, calibrate(arms, rule, version=version)) for version in VERSIONS]
            row.append(
                " > ".join(
                    f"{100 * (one.sign[:, 0] > 0).mean():.0f} ({one.runs.mean() / (arms + 1):.1f})" for one in found
                )
            )
        lines.append(f"| power at {effect:g} sd (runs an arm) | {' | '.join(row)} |")
    return lines


def paired_power(batches: int) -> str:
    """A sentence on the power at 2 sd, N = 5 and K = 8, of both versions on the same studies, 2,000 a batch."""
    rule, sums = Rule(margin=MARGIN, seeds=5), np.zeros(4)
    bounds = [calibrate(8, rule, version=version) for version in VERSIONS]
    for batch in range(batches):
        scores = draw(normal, 2_000, 5, 8, np.random.default_rng(9_000 + batch))
        scores[:, :, 1] += 2.0
        old, new = ((judge_many(scores, rule, bound).sign[:, 0] > 0).astype(float) for bound in bounds)
        sums += old.sum(), new.sum(), (new - old).sum(), np.square(new - old).sum()
    count = 2_000 * batches
    old_share, new_share, mean, square = sums / count
    error, paired = math.sqrt(old_share * (1 - old_share) / count), math.sqrt((square - mean**2) / count)
    return (
        f"Power at 2 sd, N 5, K 8, over {count:,} studies that both versions judge: {100 * old_share:.1f} > "
        f"{100 * new_share:.1f} (one standard error {100 * error:.2f}); the difference is {100 * mean:+.2f} (standard "
        f"error {100 * paired:.2f})."
    )


def quiet_history(studies: int) -> list[str]:
    """False verdicts where the study is noisier than its noise history says, and power where it agrees."""
    lines = []
    for factor in (1.0, 1.4, 2.0):
        row = []
        for seeds, arms in CELLS:
            rng = np.random.default_rng(seeds * 100 + arms)
            variance = 1 - SHARED
            rule = Rule(margin=MARGIN, seeds=seeds, history=History(df=20, variance=variance))
            history = variance * rng.chisquare(20, studies) / 20
            scores = factor * draw(normal, studies, seeds, arms, rng)
            row.append(" > ".join(f"{family_wise(scores, rule, version, history):.1f}" for version in VERSIONS))
        lines.append(f"| history {factor:g} times too quiet | {' | '.join(row)} |")
    return lines


def real_runs(path: Path, studies: int) -> list[str]:
    """False verdicts of studies dealt from real runs of one setting, over all settings with enough runs."""
    by_setting: dict[str, list[float]] = {}
    with path.open(encoding="utf-8") as stream:
        for line in csv.DictReader(stream):
            by_setting.setdefault(line["setting"], []).append(float(line["val_loss"]))
    row = []
    for seeds, arms in CELLS:
        needed = seeds * (arms + 1)
        pools = [np.array(runs) for runs in by_setting.values() if len(runs) >= needed]
        if not pools:
            row.append("-")
            continue
        rng = np.random.default_rng(seeds * 100 + arms)
        tables = [
            rng.permutation(pool)[:needed].reshape(seeds, arms + 1)
            for pool in (pools[rng.integers(len(pools))] for _ in range(studies))
        ]
        rule = replace(Rule(seeds=seeds), margin=None)
        shares = [family_wise(np.array(tables), rule, version) for version in VERSIONS]
        row.append(f"{shares[0]:.1f} > {shares[1]:.1f} ({len(pools)})")
    return [f"| real runs dealt to arms (settings) | {' | '.join(row)} |"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulation, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=6_000, help="studies a cell (default: %(default)s)")
    parser.add_argument("--runs", type=Path, help="CSV of real runs: setting, val_loss")
    parser.add_argument("--paired", type=int, default=0, help="batches of 2,000 studies for the power at N 5, K 8")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    heads = [f"N {seeds}, K {arms}" for seeds, arms in CELLS]
    table = [f"| no arm differs, claim at 5% | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    table += false_verdicts(options.studies)
    if options.runs is not None:
        table += real_runs(options.runs, options.studies)
    table += quiet_history(options.studies) + power(options.studies)
    command = f"python benchmarks/unequal_noise.py --studies {options.studies}{' --runs FILE' if options.runs else ''}"
    error = 100 * math.sqrt(0.05 * 0.95 / options.studies)
    page = "\n".join([
        "# False verdicts where the noise is not as assumed",
        "",
        f"{datetime.date.today()}, `{command}`, {hardware()}, Python {platform.python_version()}, numpy "
        f"{np.__version__}, {time.perf_counter() - start:.0f} s.",
        "",
        f"Percent of {options.studies} studies with any false verdict, first version of the rule > newest, N seeds and "
        f"K arms beside the control; one standard error is {error:.1f} at 5%. Nothing differs in them; one run's "
        f"standard deviation is 1, a quarter of its variance is shared by the runs of a seed, the margin is {MARGIN}.",
        "",
        *table,
        *(("", paired_power(options.paired)) if options.paired else ()),
    ]) + "\n"  # fmt: skip
    print(page)
    if options.output is not None:
        write_text(options.output, page)


if __name__ == "__main__":
    main()
