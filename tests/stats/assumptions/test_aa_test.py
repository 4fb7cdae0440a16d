"""An A/A test finds seeds that do nothing, copies, and runs that depend on each other, and lets clean runs pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from ablata.stats import Rule, calibrate, judge_aa
from ablata.stats.assumptions.aa_test import AaResult
from ablata.stats.calibration import Calibration


@cache
def quick(arms: int, rule: Rule) -> Calibration:
    return calibrate(arms, rule, studies=4000)


def judged(scores: object) -> AaResult:
    return judge_aa(np.asarray(scores, dtype=np.float64), calibration=quick)


def test_clean_runs_are_rarely_warned_of_and_dealt_studies_keep_the_level() -> None:
    rng = np.random.default_rng(0)
    found = [judged(rng.normal(90, 0.5, 10)) for _ in range(40)]
    assert sum(not one.sound for one in found) <= 5
    assert np.mean([one.dealt for one in found]) == pytest.approx(0.05, abs=0.015)
    assert np.mean([one.sd for one in found if one.sd]) == pytest.approx(0.5, abs=0.06)
    inside = [one.sd_low < 0.5 < one.sd_high for one in found if one.sd_low and one.sd_high]
    assert np.mean(inside) >= 0.85


def test_each_fault_is_found() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 1, 20)
    walk = np.cumsum(rng.normal(0, 1, 30))
    cases: list[tuple[object, Callable[[AaResult], bool]]] = [
        ([88.5] * 8, lambda one: one.constant),
        (np.repeat(noise[:5], 2), lambda one: one.copies),
        ([*noise[:9], noise[3]], lambda one: one.copies),
        (noise + 0.4 * np.arange(20), lambda one: one.moves),
        (np.where(np.arange(20) % 2, 1.0, -1.0) + 0.3 * noise, lambda one: one.depends and not one.moves),
        (walk, lambda one: one.depends),
        ([*noise[:12], 40.0], lambda one: one.odd),
    ]
    for scores, fault in cases:
        found = judged(scores)
        assert fault(found), found
        assert not found.sound


def test_steps_of_the_score_are_no_copies() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        assert not judged(np.round(rng.normal(450, 4, 16)) / 5).copies


def test_few_runs_tell_their_noise_alone_and_lost_ones_do_not_count() -> None:
    found = judged([1.0, 2.0, np.nan, 3.0])
    assert (found.runs, found.sd, found.p_trend, found.dealt) == (3, 1.0, None, None)
    assert judged([]).mean is None
    assert AaResult.from_json(found.to_json()) == found
    with pytest.raises(ValueError, match="shape"):
        judged([[1.0, 2.0]])
