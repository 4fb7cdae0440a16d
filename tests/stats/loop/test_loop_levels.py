"""Levels of a stream: constant in progress mode, LORD++ in claim mode."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats.loop.levels import level_of, levels_of, spending
from ablata.stats.loop.rule import LoopMode, LoopRule

PROGRESS = LoopRule(margin=None, higher_is_better=True)
CLAIM = LoopRule(margin=None, higher_is_better=True, mode=LoopMode.CLAIM)


def test_progress_has_one_level_for_all() -> None:
    assert level_of(PROGRESS, []) == level_of(PROGRESS, [True, None, False]) == PROGRESS.level


def test_claim_levels_are_those_of_lord_written_out() -> None:
    weights, rate = spending(10), CLAIM.level
    stream = [False, True, False, False, True, True]
    start = 0.75 * rate
    expected = start * weights[6] + (rate - start) * weights[4] + rate * (weights[1] + weights[0])
    assert level_of(CLAIM, stream) == pytest.approx(expected)
    assert level_of(CLAIM, []) == pytest.approx(start * weights[0])
    assert level_of(CLAIM, [False, None]) == level_of(CLAIM, [False, False]), "under way is not kept"


def test_what_is_spent_never_exceeds_what_was_earned() -> None:
    assert spending(200_000).sum() == pytest.approx(1, abs=0.002)
    rng = np.random.default_rng(0)
    kept = rng.random((60, 30)) < 0.15
    spent = np.zeros(30)
    for number in range(60):
        spent += levels_of(CLAIM, kept[:number])
        assert (spent <= CLAIM.level * np.maximum(kept[:number].sum(axis=0), 1) + 1e-12).all()
        assert levels_of(CLAIM, kept[:number])[0] == pytest.approx(level_of(CLAIM, kept[:number, 0].tolist()))
