"""More seeds later, at a price fixed before: the error rate of a question is split over waves of a study.

Judging anew at 5% after each extension of a study claims something false in about 10% of cases. When each wave is
judged at its own part of the rate, on all runs so far, and what was decided in an earlier wave stays decided, false
verdicts of all waves together stay below the rate (Bonferroni's inequality), over any number of extensions. Few seeds
decide little, so the first waves get little: after the third, each gets half of what is left.

A wave may bring arms that earlier ones did not have, judged at the wave's part of the rate over all arms there are by
then. Which arms are added may depend on what was seen: a study that always added them would say as much that is false,
and its waves' parts add up to no more than the rate. In a wave without more seeds only the new arms are judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ablata.stats.results import Outcome
from ablata.stats.rule import Rule, Verdict
from ablata.stats.versions import rule_of

FIRST_SHARES = (0.1, 0.2, 0.6)
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
        seeds: rows after each wave, not falling.

    Raises:
        ValueError: the numbers fall.
    """
    if any(later < earlier for earlier, later in pairwise(seeds)):
        raise ValueError(f"no wave must have fewer seeds than the one before, got {tuple(seeds)}")
    return tuple(replace(rule, seeds=count, alpha=wave_level(rule.alpha, wave)) for wave, count in enumerate(seeds))


WAVES, EXTENDABLE, ADDED = "waves", "extendable", "added"
"""Keys of a study's specification: rows after each wave so far, whether its first wave left some of the rate, and the
wave that brought an arm, by the names of those that the first did not have."""


@dataclass(frozen=True)
class Wave:
    """One wave of a study.

    Args:
        rule: that it is judged by.
        arms: names of the arms there are by then, without the control, in the order of the study.
        reopens: whether arms that ended undecided before go on in it; not where it has no more seeds.
    """

    rule: Rule
    arms: tuple[str, ...]
    reopens: bool


def waves_of(spec: Mapping[str, Any], arms: Sequence[str]) -> tuple[Wave, ...]:
    """Return the waves of a study so far.

    Args:
        spec: its specification.
        arms: names of all its arms, without the control.

    Raises:
        RecordError: this version of ablata does not know its rule.
    """
    added, rules = spec.get(ADDED, {}), rules_of(spec)
    return tuple(
        Wave(
            rule=rule,
            arms=tuple(name for name in arms if added.get(name, 0) <= number),
            reopens=number == 0 or rule.seeds > rules[number - 1].seeds,
        )
        for number, rule in enumerate(rules)
    )


def rules_of(spec: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Return the rule of each wave of a study so far; one that was never extended has one wave.

    A study that was not made to be extended spends its whole rate in its first wave. Later ones are judged at the same
    rate again, so that over all waves it is exceeded: what they say is exploratory.

    Args:
        spec: its specification; `rule` holds the rate of the whole question, and the seeds of the newest wave.

    Raises:
        RecordError: this version of ablata does not know its rule.
    """
    rule = rule_of(spec)
    seeds = tuple(spec.get(WAVES) or (rule.seeds,))
    rules = wave_rules(rule, seeds) if spec.get(EXTENDABLE) else tuple(replace(rule, seeds=count) for count in seeds)
    # A study that is judged once at its end is judged once in each wave.
    return tuple(replace(one, first_look=max(2, one.seeds)) for one in rules) if spec.get("fixed") else rules


def is_final(outcome: Outcome) -> bool:
    """Tell whether an arm's end in one wave stays its end, whatever waves follow."""
    return not outcome.open and outcome.verdict is not Verdict.UNDECIDED
