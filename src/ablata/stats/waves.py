"""More seeds later, at a price fixed before: the error rate of a question is split over waves of a study.

Judging anew at 5% after each extension of a study claims something false in about 10% of cases. When each wave is
judged at its own part of the rate, on all runs so far, and what was decided in an earlier wave stays decided, false
verdicts of all waves together stay below the rate (Bonferroni's inequality), over any number of extensions. Few seeds
decide little, so the first waves get little: after the third, each gets half of what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ablata.stats.rule import Rule

FIRST_SHARES = (0.1, 0.2, 0.5)
"""Parts of the rate of the first waves; the rest is halved from wave to wave."""


def wave_level(alpha: float, wave: int) -> float:
    """Return the rate that a wave is judged at; over all waves they add up to no more than `alpha`.

    Args:
        alpha: family-wise rate of the whole question, in (0, 1).
        wave: from 0.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 < alpha < 1 or wave < 0:
        raise ValueError(f"a wave is counted from 0 and its rate lies between 0 and 1, got {wave} and {alpha}")
    if wave < len(FIRST_SHARES):
        return alpha * FIRST_SHARES[wave]
    rest = 1 - sum(FIRST_SHARES)
    return float(alpha * rest / 2 ** (wave - len(FIRST_SHARES) + 1))


def wave_rules(rule: Rule, seeds: Sequence[int]) -> tuple[Rule, ...]:
    """Return the rule of each wave of a study that is extended.

    Each is replayed on all rows so far; an arm keeps the verdict of the first wave that gives it one.

    Args:
        rule: of the question: its `alpha` is that of all waves together, its number of seeds is not used.
        seeds: rows after each wave, rising.

    Raises:
        ValueError: the numbers do not rise.
    """
    if any(later <= earlier for earlier, later in pairwise(seeds)):
        raise ValueError(f"each wave must have more seeds than the one before, got {tuple(seeds)}")
    return tuple(replace(rule, seeds=count, alpha=wave_level(rule.alpha, wave)) for wave, count in enumerate(seeds))
