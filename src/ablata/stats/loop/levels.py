"""The level of each proposal of a stream: constant, or so that little of all that is kept is false.

Claim mode is LORD++ (Ramdas, Yang, Wainwright and Jordan 2017, "Online control of the false discovery rate with
decaying memory"): a stream starts with three quarters of its rate to spend, every keep earns the rate anew, and what
was earned is spent over the proposals that follow. Proposals that are still under way count as not kept (Zrnic, Ramdas
and Jordan 2021, "Asynchronous online testing of multiple hypotheses").

All proposals between two keeps share the baseline's runs. Their errors depend on each other in the harmless direction:
the first keep, true or false, has the baseline measured anew, and a baseline that nothing has beaten yet is rather too
good than too bad by chance, so that the next false keep is less probable than its level, not more (Harris' inequality).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.loop.rule import LoopMode, LoopRule
from ablata.stats.table import Floats

_DELAY = 9.0
_POWER = 1.7
_FIRST_SHARE = 0.75


def level_of(rule: LoopRule, stream: Sequence[bool | None]) -> float:
    """Return the one-sided level of the next proposal.

    Args:
        rule: of the loop.
        stream: whether each proposal before it was kept, in the order of submission; None: not known yet. Those that
            no test was made of (answered without a run, crashed) are left out.
    """
    return float(levels_of(rule, np.asarray([kept is True for kept in stream], dtype=np.bool_)))


def levels_of(rule: LoopRule, kept: ArrayLike) -> Floats:
    """Return the levels of the next proposals of many streams.

    Args:
        rule: of the loops.
        kept: bool (proposals so far, ...), in the order of submission.
    """
    before = np.asarray(kept, dtype=np.bool_)
    if rule.mode is LoopMode.PROGRESS:
        return np.full(before.shape[1:], rule.level)
    number = len(before)
    weights = spending(number + 1)
    # A keep's earnings start with the next proposal.
    earned = np.where(before, weights[number - 1 :: -1].reshape(-1, *[1] * (before.ndim - 1)) if number else 0.0, 0.0)
    first = before & (np.cumsum(before, axis=0) == 1)
    start = _FIRST_SHARE * (weights[number] - np.where(first, earned, 0.0).sum(axis=0))
    return np.asarray(rule.level * (start + earned.sum(axis=0)), dtype=np.float64)


@lru_cache(maxsize=8)
def spending(number: int) -> Floats:
    """Return what part of a rate the next proposals may spend, (number,); over all that may ever come it is 1."""
    place = np.arange(1, 10_001) + _DELAY
    # The rest of the series by its integral.
    rest = (place[-1] + 0.5) ** (1 - _POWER) / (_POWER - 1)
    return np.asarray((np.arange(1, number + 1) + _DELAY) ** -_POWER / ((place**-_POWER).sum() + rest))
