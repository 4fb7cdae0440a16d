"""Measure how far the setting that `ablata study pick` takes falls short of the best, against equal allocation.

    python benchmarks/picking.py [--studies 3000] [--output docs/results/picking.md]

Settings with effects drawn from N(0, tau); one run's standard deviation is 1, a quarter of its variance is the seed's
and shared by all settings of that seed.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Rule, calibrate, judge_many
from ablata.stats.pick import FIRST_SEEDS, beliefs, next_run
from ablata.stats.table import Floats
from decision_rule import hardware

SHARED = 0.25
SIZES = ((4, 25), (8, 45), (16, 85))
"""Settings beside the control, and runs: as many as five of each."""
SPREADS = (0.5, 1.0)


def draw(studies: int, arms: int, budget: int, tau: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return true means (studies, settings), the control's 0, and scores (studies, seeds, settings)."""
    truth = np.concatenate([np.zeros((studies, 1)), tau * rng.standard_normal((studies, arms))], axis=1)
    seeds = budget - arms
    noise = math.sqrt(1 - SHARED) * rng.standard_normal((studies, seeds, arms + 1))
    return truth, truth[:, None] + math.sqrt(SHARED) * rng.standard_normal((studies, seeds, 1)) + noise


def adaptive(scores: Floats, budget: int) -> Floats:
    """Return the scores that a budget of runs sees, NaN where there is no run."""
    studies, _, settings = scores.shape
    seen, each = np.full_like(scores, np.nan), np.full((studies, settings), FIRST_SEEDS)
    seen[:, :FIRST_SEEDS] = scores[:, :FIRST_SEEDS]
    which = np.arange(studies)
    for left in range(budget - FIRST_SEEDS * settings, 0, -1):
        chosen = next_run(beliefs(seen[:, : each.max()]), left)
        seed = each[which, chosen]
        seen[which, seed, chosen] = scores[which, seed, chosen]
        each[which, chosen] += 1
    return seen[:, : each.max()]


def regret(truth: Floats, chosen: np.ndarray) -> Floats:
    """Return by how much the best setting's mean exceeds the chosen one's, (studies,)."""
    return np.asarray(truth.max(axis=1) - truth[np.arange(len(truth)), chosen], dtype=np.float64)


def expected(seen: Floats, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the regret and the probability of being best that the choices themselves state, in the mean."""
    state = beliefs(seen)
    values, vectors = np.linalg.eigh(state.covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    found = state.mean[:, None] + np.einsum(
        "sab,sdb->sda", roots, rng.standard_normal((len(seen), draws, seen.shape[2]))
    )
    chosen = state.mean.argmax(axis=1)
    own = np.take_along_axis(found, chosen[:, None, None], axis=2)[..., 0]
    return float((found.max(axis=2) - own).mean()), float((own == found.max(axis=2)).mean())


def significant(scores: Floats, arms: int) -> np.ndarray:
    """Return the best setting among those that a claim calls better, else the control: at the same runs."""
    rule = Rule(seeds=scores.shape[1], futility=False)
    judged = judge_many(scores, rule, calibrate(arms, rule))
    shown = np.where(judged.sign > 0, judged.effect, 0.0)
    return np.asarray(np.where(shown.max(axis=1) > 0, shown.argmax(axis=1) + 1, 0))


def row(arms: int, budget: int, tau: float, studies: int) -> str:
    """Return one line of the table."""
    rng = np.random.default_rng(1000 * arms + round(100 * tau))
    truth, scores = draw(studies, arms, budget, tau, rng)
    equal = scores[:, : budget // (arms + 1)]
    plain = regret(truth, equal.mean(axis=1).argmax(axis=1))
    claimed = regret(truth, significant(equal, arms))
    seen = adaptive(scores, budget)
    chosen = beliefs(seen).mean.argmax(axis=1)
    found = regret(truth, chosen)
    said, sure = expected(seen, 400, rng)
    saved = 100 * (1 - found.mean() / plain.mean())
    error = found.std(ddof=1) / math.sqrt(studies)
    return (
        f"| {arms} | {tau:g} | {budget} | {plain.mean():.3f} | {claimed.mean():.3f} | {found.mean():.3f} ± {error:.3f} "
        f"| {saved:.0f}% | {said:.3f} | {100 * (found == 0).mean():.0f}% | {100 * sure:.0f}% |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulation, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=3000, help="studies a row (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    heads = ("settings", "tau", "runs", "equal", "only if claimed", "pick", "less regret than equal",
             "regret it states", "best taken", "probability it states")  # fmt: skip
    table = [f"| {' | '.join(heads)} |", "|---:" * len(heads) + "|"]
    table += [row(arms, budget, tau, options.studies) for arms, budget in SIZES for tau in SPREADS]
    page = "\n".join([
        "# Picking one of several settings with a budget of runs",
        "",
        f"{datetime.date.today()}, `python benchmarks/picking.py --studies {options.studies}`, {hardware()}, Python "
        f"{platform.python_version()}, numpy {np.__version__}, {time.perf_counter() - start:.0f} s.",
        "",
        "Regret: by how much the best setting's true mean exceeds that of the one taken, in the mean of the studies; "
        "one run's standard deviation is 1, a quarter of its variance the seed's. Effects are drawn from N(0, tau), "
        "the control's is 0. *Equal*: the best mean after as many runs of each setting. *Only if claimed*: after the "
        "same runs, the best of those with the verdict better, else the control. *Pick*: the same number of runs, put "
        "where they are expected to change the choice (`ablata study pick`; noise and tau are estimated, not given). "
        "The last columns: what the choices themselves state, and what was true.",
        "",
        *table,
        "",
        "The regret of *only if claimed* is large because a verdict asks for proof, and a choice does not: leaving a "
        "better setting unused costs as much as taking a worse one. A choice is no claim.",
    ]) + "\n"  # fmt: skip
    print(page)
    if options.output is not None:
        write_text(options.output, page)


if __name__ == "__main__":
    main()
