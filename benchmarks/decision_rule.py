"""Measure the first version of the decision rule on made-up studies, beside the figures it was chosen for.

    python benchmarks/decision_rule.py [--studies 2000] [--output docs/results/decision_rule.md]

A study has ten arms and a control, y[a, s] = mu_a + u_s + e[a, s] with sd(y) = sigma and correlation rho over the arms
of a seed: five arms at 0, then +0.2, -0.2, +0.5, -0.5, +1.0; margin 0.3. False is `better` with no gain, `worse` with
no loss, `equivalent` at 0.3 or beyond. The published figures come from 800 to 6,000 studies a cell; their own error is
taken as that of 2,000, and of 800 in the grid over sigma and rho: the two published powers at sigma 0.25, rho 0.25 lie
four points apart (66 and 62).
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Mode, Rule, Verdict, calibrate, draw_scores, is_false, replay

MIX = (0.0, 0.0, 0.0, 0.0, 0.0, 0.2, -0.2, 0.5, -0.5, 1.0)
NULL = (0.0,) * 10
MARGIN = 0.3
PUBLISHED_STUDIES = 2_000
PUBLISHED_STUDIES_GRID = 800
Spread = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Outcomes:
    """Studies of one cell: `verdicts` (studies, arms) of Verdict, `runs` (studies,) per arm, the control counted."""

    effects: tuple[float, ...]
    false: np.ndarray
    verdicts: np.ndarray
    runs: np.ndarray


@dataclass(frozen=True)
class Row:
    """One figure. `good` is +1 if more is better, -1 if less is. Shares are in percent."""

    where: str
    figure: str
    published: float
    ours: float
    error: float
    good: int

    @property
    def result(self) -> str:
        """PASS within two combined standard errors of the published figure, else `ahead` or `short` of it."""
        ahead = self.good * (self.ours - self.published)
        within = 2 * self.error + _half_digit(self.figure, self.published)
        return "PASS" if abs(ahead) <= within else "ahead" if ahead > 0 else "short"


def even(rng: np.random.Generator) -> np.ndarray:
    """All arms equally noisy."""
    return np.ones(len(MIX) + 1)


def one_loud(rng: np.random.Generator) -> np.ndarray:
    """One arm with three times the noise."""
    return np.concatenate([np.ones(len(MIX)), [3.0]])


def uneven(rng: np.random.Generator) -> np.ndarray:
    """Arm noise with a log standard deviation of 0.4."""
    return np.asarray(np.exp(0.4 * rng.standard_normal(len(MIX) + 1)))


def simulate(
    rule: Rule, effects: tuple[float, ...], sigma: float, rho: float, studies: int, seed: int, spread: Spread = even
) -> Outcomes:
    """Draw and decide `studies` studies of one cell; `spread` draws the factors on the noise of control and arms."""
    calibration = calibrate(len(effects), rule, version=1)
    rng = np.random.default_rng(seed)
    verdicts, false, runs = [], [], []
    for _ in range(studies):
        scores = draw_scores(
            effects,
            seeds=rule.seeds,
            noise=sigma * math.sqrt(1 - rho),
            shared=sigma * math.sqrt(rho),
            spread=spread(rng),
            rng=rng,
        )
        result = replay(scores, rule, calibration)
        found = [outcome.verdict for outcome in result.outcomes]
        verdicts.append(found)
        false.append([is_false(verdict, effect, rule) for verdict, effect in zip(found, effects, strict=True)])
        runs.append(result.runs / (len(effects) + 1))
    return Outcomes(effects, np.array(false), np.array(verdicts), np.array(runs))


def family_wise(outcomes: Outcomes) -> tuple[float, float]:
    """Percent of studies with any false verdict, and its standard error."""
    return _mean(np.where(outcomes.false.any(axis=1), 100.0, 0.0))


def wrong(outcomes: Outcomes) -> tuple[float, float]:
    """Percent of issued verdicts that are false, and its standard error (ratio estimator over studies)."""
    false = outcomes.false.sum(axis=1)
    issued = (outcomes.verdicts != Verdict.UNDECIDED).sum(axis=1)
    ratio = false.sum() / max(issued.sum(), 1)
    return 100 * ratio, 100 * float(np.std(false - ratio * issued) / max(issued.mean(), 1e-9) / math.sqrt(len(false)))


def power(size: float) -> Callable[[Outcomes], tuple[float, float]]:
    """Percent of the arms with a true effect of +-size that are called so."""

    def measure(outcomes: Outcomes) -> tuple[float, float]:
        arms = [index for index, effect in enumerate(outcomes.effects) if abs(effect) == size]
        wanted = [Verdict.BETTER if outcomes.effects[index] > 0 else Verdict.WORSE for index in arms]
        return _mean(100.0 * (outcomes.verdicts[:, arms] == np.array(wanted)).mean(axis=1))

    return measure


def equivalent(outcomes: Outcomes) -> tuple[float, float]:
    """Percent of the equal arms that are called equivalent."""
    arms = [index for index, effect in enumerate(outcomes.effects) if effect == 0]
    return _mean(100.0 * (outcomes.verdicts[:, arms] == Verdict.EQUIVALENT).mean(axis=1))


def runs_per_arm(outcomes: Outcomes) -> tuple[float, float]:
    """Mean runs per arm."""
    return _mean(outcomes.runs)


FIGURES: dict[str, tuple[Callable[[Outcomes], tuple[float, float]], int]] = {
    "family-wise %": (family_wise, -1),
    "wrong %": (wrong, -1),
    "power 0.2 %": (power(0.2), +1),
    "power 0.5 %": (power(0.5), +1),
    "power 1.0 %": (power(1.0), +1),
    "equivalent at 0 %": (equivalent, +1),
    "runs per arm": (runs_per_arm, -1),
}
N5 = ("family-wise %", "wrong %", "power 0.5 %", "power 1.0 %", "runs per arm")
N10 = ("family-wise %", "wrong %", "power 0.2 %", "power 0.5 %", "equivalent at 0 %", "runs per arm")
CLAIM, SCREEN = Mode.CLAIM.alpha, Mode.SCREEN.alpha
PROCEDURES = (
    ("claim", CLAIM, True, (2.5, 1.1, 66, 100, 3.76), (2.3, 0.6, 16, 95, 19, 7.00)),
    ("screen", SCREEN, True, (11, 3.6, 87, 100, 4.17), (13, 2.3, 36, 99, 62, 7.40)),
    ("claim, no futility stop", CLAIM, False, (2.1, 1.0, 67, 100, 4.72), (2.1, 0.6, 16, 95, 21, 8.64)),
)
GRID = (
    (0.15, 0.0, (4.19, 95, 4.10, 99, 6.06, 100, 5.30, 100)),
    (0.15, 0.25, None),
    (0.15, 0.5, (3.99, 100, 3.53, 100, 5.02, 100, 4.07, 100)),
    (0.25, 0.0, (3.66, 46, 4.02, 74, 5.18, 73, 6.05, 92)),
    (0.25, 0.25, (3.78, 62, 4.18, 86, 5.64, 88, 6.17, 98)),
    (0.25, 0.5, (4.04, 85, 4.24, 96, 6.11, 98, 5.85, 100)),
    (0.4, 0.0, (3.59, 14, 3.73, 34, 4.69, 29, 5.07, 54)),
    (0.4, 0.25, None),
    (0.4, 0.5, (3.61, 35, 3.88, 62, 4.90, 61, 5.76, 82)),
)
GRID_MEAN = (3.85, 62, 3.92, 77, 5.34, 77, 5.36, 88)
GRID_RULES = tuple((mode, seeds) for seeds in (5, 8) for mode in Mode)


def procedures(studies: int) -> Iterator[Row]:
    """The three ways to run the rule at sigma 0.25, rho 0.25."""
    for name, alpha, futility, at_5, at_10 in PROCEDURES:
        for seeds, figures, published in ((5, N5, at_5), (10, N10, at_10)):
            rule = Rule(margin=MARGIN, seeds=seeds, alpha=alpha, futility=futility)
            outcomes = simulate(rule, MIX, 0.25, 0.25, studies, seed=seeds)
            yield from rows(f"{name}, n <= {seeds}", outcomes, figures, published)


def full_null(studies: int) -> Iterator[Row]:
    """Studies in which no arm differs, claim mode: the rate that alpha bounds, and what unequal noise makes of it."""
    cases: tuple[tuple[str, Spread, float], ...] = (
        ("", even, 4.25),
        ("; one arm with 3x noise", one_loud, 6.65),
        ("; arm noise log-sd 0.4", uneven, 6.6),
    )
    for name, spread, published in cases:
        outcomes = simulate(Rule(margin=MARGIN), NULL, 0.25, 0.25, studies, seed=50, spread=spread)
        yield from rows(f"claim, n <= 5, no arm differs{name}", outcomes, ("family-wise %",), (published,))


def shared_effects(studies: int) -> Iterator[Row]:
    """All arms alike: at the margin, and all better, which must not pass for an unlucky control."""
    at_margin = simulate(Rule(margin=MARGIN, seeds=10), (MARGIN,) * 10, 0.15, 0.25, studies, seed=60)
    yield from rows("claim, n <= 10, sigma 0.15, all arms at the margin", at_margin, ("family-wise %",), (3.8,))
    all_better = simulate(Rule(margin=MARGIN), (0.5,) * 10, 0.25, 0.25, studies, seed=61)
    yield from rows("claim, n <= 5, all arms +0.5", all_better, ("wrong %",), (0.0,))


def grid(studies: int) -> Iterator[Row]:
    """Noise and pairing over nine cells, claim and screen, at most 5 and 8 seeds; then the mean of the nine."""
    cells = []
    for index, (sigma, rho, published) in enumerate(GRID):
        measured = []
        for mode, seeds in GRID_RULES:
            rule = Rule(margin=MARGIN, seeds=seeds, alpha=mode.alpha)
            outcomes = simulate(rule, MIX, sigma, rho, studies, seed=100 + index)
            measured += [runs_per_arm(outcomes), power(0.5)(outcomes)]
        cells.append(measured)
        if published is not None:
            yield from grid_rows(f"sigma {sigma}, rho {rho}", measured, published, studies)
    values = np.array(cells)
    errors = np.sqrt(np.square(values[..., 1]).sum(axis=0)) / len(GRID)
    means = list(zip(values[..., 0].mean(axis=0), errors, strict=True))
    yield from grid_rows("mean of 9 cells", means, GRID_MEAN, studies)


def grid_rows(
    where: str, measured: Sequence[tuple[float, float]], published: Sequence[float], studies: int
) -> Iterator[Row]:
    """Rows of one cell, runs and power in the order of `GRID_RULES`."""
    names = [(f"{where}; {mode}, n <= {seeds}", figure) for mode, seeds in GRID_RULES for figure in (N5[-1], N5[2])]
    for (place, figure), (ours, error), reference in zip(names, measured, published, strict=True):
        yield compare(place, figure, reference, ours, error, studies / PUBLISHED_STUDIES_GRID)


def rows(where: str, outcomes: Outcomes, figures: Sequence[str], published: Sequence[float]) -> Iterator[Row]:
    """One row a figure."""
    for figure, reference in zip(figures, published, strict=True):
        ours, error = FIGURES[figure][0](outcomes)
        yield compare(where, figure, reference, ours, error, len(outcomes.runs) / PUBLISHED_STUDIES)


def compare(where: str, figure: str, published: float, ours: float, error: float, studies_ratio: float) -> Row:
    """One figure with the combined error of both simulations; the ratio is of our studies to the published ones."""
    both = error * math.sqrt(1 + studies_ratio)
    return Row(where, figure, published, ours, both, FIGURES[figure][1])


def markdown(found: Sequence[Row], studies: int, command: str, seconds: float) -> str:
    """The page: date, command, machine, then one line a figure."""
    count = Counter(line.result for line in found)
    tally = ", ".join(f"{count[result]} {result}" for result in ("PASS", "ahead", "short"))
    lines = [
        "# The decision rule on studies with known effects",
        "",
        f"{datetime.date.today()}, `{command}`, {hardware()}, Python {platform.python_version()}, numpy "
        f"{np.__version__}, {seconds:.0f} s.",
        "",
        f"{studies} studies a cell, ten arms: five at 0, then +0.2, -0.2, +0.5, -0.5, +1.0; margin {MARGIN}; sigma "
        "0.25 and rho 0.25 unless said. PASS: within two standard errors of the published figure (both simulations' "
        "errors combined, and half of the published figure's last digit); otherwise ahead of it or short of it.",
        "",
        f"The published figures' own error is taken as that of {PUBLISHED_STUDIES} studies, in the grid over sigma and "
        f"rho of {PUBLISHED_STUDIES_GRID}, the least that was stated. The error of the bound c, itself a quantile of "
        "20,000 simulated studies in both (3 to 4 % of c), is not included.",
        "",
        f"{tally}. Among {len(found)} figures about one in twenty lies outside two standard errors by chance.",
        "",
        "| procedure | figure | published | ours | difference | error | result |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in found:
        digits = 2 if line.figure == "runs per arm" else 1
        lines.append(
            f"| {line.where} | {line.figure} | {line.published:g} | {line.ours:.{digits}f} | "
            f"{line.ours - line.published:+.{digits}f} | {line.error:.{digits}f} | {line.result} |"
        )
    return "\n".join(lines) + "\n"


def hardware() -> str:
    """Processor name, cores, and whether it has AMX, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    name = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "CPU")
    return f"{name}, {os.cpu_count()} cores{', AMX' if 'amx_tile' in text else ''}"


def _half_digit(figure: str, published: float) -> float:
    """Half of the last digit the published figure was rounded to."""
    if figure == "runs per arm":
        return 0.005
    return 0.5 if isinstance(published, int) else 0.05


def _mean(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulation, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000, help="studies a cell (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    found = []
    for part in (full_null, shared_effects, procedures, grid):
        for line in part(options.studies):
            found.append(line)
            print(f"{line.where}: {line.figure} {line.ours:.2f} ({line.published:g})", file=sys.stderr)
    command = f"python benchmarks/decision_rule.py --studies {options.studies}"
    page = markdown(found, options.studies, command, time.perf_counter() - start)
    print(page)
    if options.output is not None:
        write_text(options.output, page)


if __name__ == "__main__":
    main()
