"""The noise of a loop is pooled within groups of equal code; its Student's t is read as a normal score."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats.loop.noise import MEMORY, look_at, normal_score, pooled_noise, student_score


def test_noise_is_pooled_within_groups() -> None:
    groups = [[1.0, 2.0, 4.0], [10.0], [], [5.0, 6.0]]
    found = pooled_noise(groups)
    older = 2 ** (-1 / MEMORY)
    variance = (older * 2 * np.var(groups[0], ddof=1) + np.var(groups[3], ddof=1)) / (older * 2 + 1)
    assert found.sd == pytest.approx(variance**0.5)
    assert found.df == pytest.approx(3, abs=0.01)
    assert pooled_noise([[1.0], [2.0]]).sd is None


def test_noise_follows_what_was_run_last() -> None:
    rng = np.random.default_rng(1)
    loud, quiet = rng.normal(0, 2, (60, 3)).tolist(), rng.normal(0, 0.5, (60, 3)).tolist()
    assert pooled_noise(loud).sd == pytest.approx(2, rel=0.25)
    assert pooled_noise(loud).df == pytest.approx(56, abs=3)
    assert pooled_noise([*loud, *quiet]).sd == pytest.approx(0.55, rel=0.2)


def test_scores_of_student_and_normal_have_equal_tails() -> None:
    # Quantiles of Student's t from any table; the normal's are 1.645, 1.960 and 3.090.
    table = {4: (2.132, 2.776, 7.173), 6: (1.943, 2.447, 5.208), 10: (1.812, 2.228, 4.144), 60: (1.671, 2.000, 3.232)}
    for df, quantiles in table.items():
        for t, z in zip(quantiles, (1.645, 1.960, 3.090), strict=True):
            assert normal_score(t, df) == pytest.approx(z, abs=0.035)
            assert normal_score(-t, df) == -normal_score(t, df)
            assert student_score(float(normal_score(t, df)), df) == pytest.approx(t)


def test_a_look_without_noise_decides_by_the_sign() -> None:
    size, info = look_at([0.5, 0.0, -0.5], 0.0, 4, 2, 6)
    assert size.tolist() == [np.inf, 0.0, -np.inf]
    assert float(info) == 1.5
    (size,), _ = look_at([0.5], 1.0, 10**9, 2, 6, 2.0)
    assert size == pytest.approx(0.5 * 1.5 * 2), "B = g I, in units of the effect that is sought"
