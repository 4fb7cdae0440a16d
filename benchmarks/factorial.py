"""Measure factorial studies on made-up studies with known effects, beside one change at a time at the same compute.

    python benchmarks/factorial.py [--studies 2000] [--output docs/results/factorial.md]

Seven changes, three of them real: +e, -e and +e/2 with e = 1.5 sd of a run, a quarter of whose variance is the seed's
part that all cells share. Interactions of two changes, where there are any, are normal with a standard deviation of
0.3e or 0.6e. One at a time is the sequential rule with seven arms.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.stats import Design, Rule, Verdict, calibrate, calibrate_factorial, judge_factorial, replay
from decision_rule import hardware

EFFECT = 1.5
MAIN = np.array([EFFECT, -EFFECT, EFFECT / 2, 0.0, 0.0, 0.0, 0.0])
SHARED, WITHIN = 0.5, 0.75**0.5
STRENGTHS = (0.0, 0.3, 0.6)


@dataclass(frozen=True)
class Row:
    """One design: mean runs, and percent of studies or effects by the strength of interactions.

    Args:
        name: of the design.
        runs: mean runs of a study.
        power: of the two effects of e, averaged, without interactions.
        false: studies with any false verdict, by strength.
        flagged: interactions above 1 sd that were flagged, by strength; NaN where there are none.
    """

    name: str
    runs: float
    power: float
    false: tuple[float, ...]
    flagged: tuple[float, ...]


def cell_means(signs: np.ndarray, interaction: np.ndarray) -> np.ndarray:
    """Return the true mean of cells (cells,) by their signs (cells, changes) and interactions (changes, changes)."""
    return np.asarray((signs + 1) / 2 @ MAIN + np.einsum("ck,kl,cl->c", signs, interaction, signs) / 4)


def draw(signs: np.ndarray, interaction: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
    """Return the scores of one study, (seeds, cells)."""
    noise = SHARED * rng.standard_normal((seeds, 1)) + WITHIN * rng.standard_normal((seeds, len(signs)))
    return np.asarray(cell_means(signs, interaction) + noise)


def wrong(verdicts: Sequence[Verdict], effects: np.ndarray) -> bool:
    """Tell whether a study has a false verdict."""
    return any(
        (verdict is Verdict.BETTER and effect <= 1e-12) or (verdict is Verdict.WORSE and effect >= -1e-12)
        for verdict, effect in zip(verdicts, effects, strict=True)
    )


def one_at_a_time(seeds: int, studies: int, rng: np.random.Generator) -> Row:
    """Return the figures of seven arms against a control; interactions do not touch what they ask."""
    signs = np.vstack([-np.ones(7), 2 * np.eye(7) - 1])
    rule = Rule(seeds=seeds, futility=False)
    bound = calibrate(7, rule)
    found = false = runs = 0
    for _ in range(studies):
        result = replay(draw(signs, np.zeros((7, 7)), seeds, rng), rule, bound)
        verdicts = [outcome.verdict for outcome in result.outcomes]
        found += (verdicts[0] is Verdict.BETTER) + (verdicts[1] is Verdict.WORSE)
        false += wrong(verdicts, MAIN)
        runs += result.runs
    return Row(
        f"one at a time, at most {seeds} seeds", runs / studies, 50 * found / studies, (100 * false / studies,), ()
    )


def factorial(design: Design, seeds: int, studies: int, rng: np.random.Generator, lost: tuple[int, ...] = ()) -> Row:
    """Return the figures of a design, some of whose cells never leave a score."""
    signs = design.signs.astype(float)
    rule = Rule(seeds=seeds, first_look=2)
    bound = calibrate_factorial(design, rule)
    false, flagged, found, runs = [], [], 0, 0.0
    for strength in STRENGTHS:
        errors = large = seen = 0
        for _ in range(studies):
            interaction = np.triu(rng.standard_normal((7, 7)) * strength * EFFECT, 1)
            scores = draw(signs, interaction, seeds, rng)
            scores[:, list(lost)] = np.nan
            result = judge_factorial(scores, design, rule, bound)
            assert result is not None
            verdicts = [factor.verdict for factor in result.factors]
            errors += wrong(verdicts, MAIN)
            for group in result.interactions:
                if abs(sum(interaction[pair] for pair in group.pairs)) / 2 > 1:
                    large, seen = large + 1, seen + group.flagged
            if strength == 0:
                found += (verdicts[0] is Verdict.BETTER) + (verdicts[1] is Verdict.WORSE)
                used = seeds if not result.settled else max(factor.seeds for factor in result.factors)
                runs += design.cells * used
        false.append(100 * errors / studies)
        flagged.append(100 * seen / large if large else float("nan"))
    name = f"{design.cells} cells, resolution {'I' * (design.resolution < 5)}V, {seeds} seeds"
    name += f", {len(lost)} cell{'s' * (len(lost) > 1)} always lost" if lost else ""
    return Row(name, runs / studies, 50 * found / studies, tuple(false), tuple(flagged))


def rows(studies: int) -> Iterator[Row]:
    """All rows of the table."""
    for seeds in (5, 10):
        yield one_at_a_time(seeds, studies, np.random.default_rng(seeds))
    for cells, seeds in ((16, 2), (16, 3), (16, 4), (32, 2)):
        yield factorial(Design.of(7, cells), seeds, studies, np.random.default_rng(100 * cells + seeds))
    yield factorial(Design.of(7), 3, studies, np.random.default_rng(17), lost=(5,))
    yield factorial(Design.of(7, 32), 2, studies, np.random.default_rng(18), lost=(5, 11, 30))


def markdown(found: Sequence[Row], studies: int, command: str, seconds: float) -> str:
    """Return the page."""
    lines = [
        "# Several changes at once, or one at a time",
        "",
        f"{datetime.date.today()}, `{command}`, {hardware()}, Python {platform.python_version()}, numpy "
        f"{np.__version__}, {seconds:.0f} s.",
        "",
        f"{studies} studies a row and strength of interactions. Seven changes, of which +e, -e and +e/2 are real, e = "
        f"{EFFECT:g} sd of a run. Power: of the two effects of e. False: studies with any false verdict, read as what "
        "is claimed: of a factorial study the effect averaged over the other changes. Interactions of two changes have "
        "a standard deviation of 0.3e or 0.6e. Flagged: of the groups of interactions above 1 sd.",
        "",
        "| design | runs | power % | false % | with 0.3e | with 0.6e | flagged, 0.3e | flagged, 0.6e |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        false = [*(f"{value:.1f}" for value in row.false), "-", "-"][:3]
        flagged = [f"{value:.0f}" for value in row.flagged[1:]] or ["-", "-"]
        lines.append(f"| {row.name} | {row.runs:.0f} | {row.power:.0f} | {' | '.join(false)} | {' | '.join(flagged)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulation, print the page, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2_000, help="studies a cell (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="also write the page to this file")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    found = []
    for row in rows(options.studies):
        found.append(row)
        print(f"{row.name}: {row.runs:.0f} runs, power {row.power:.0f}%", file=sys.stderr)
    page = markdown(found, options.studies, f"python benchmarks/factorial.py --studies {options.studies}",
                    time.perf_counter() - start)  # fmt: skip
    print(page)
    if options.output is not None:
        write_text(options.output, page)


if __name__ == "__main__":
    main()
