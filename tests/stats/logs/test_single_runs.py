"""What single runs can show: against simulation and the planner."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from ablata.stats import Noise, largest_noise, visibility


def known(sd: float) -> Noise:
    return Noise(variance=sd**2, df=1e9)


def test_two_equal_trainings_pass_the_threshold_at_the_stated_rate() -> None:
    rng = np.random.default_rng(0)
    differences = np.diff(rng.normal(0, 0.3, (40_000, 2))).ravel()
    threshold = visibility(1.0, known(0.3)).threshold
    share = float((np.abs(differences) >= threshold).mean())
    assert share == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 40_000))


def test_the_number_of_seeds_finds_the_effect_with_the_stated_power_and_one_less_does_not() -> None:
    found = visibility(0.25, known(0.3))
    assert found.seeds is not None

    def power(seeds: int) -> float:
        return float(norm.sf(norm.ppf(0.975) - 0.25 / (0.3 * math.sqrt(2 / seeds))))

    assert power(found.seeds) >= 0.8 > power(found.seeds - 1)


@pytest.mark.parametrize(("difference", "seen"), [(0.5, False), (-0.5, False), (0.9, True), (-0.9, True)])
def test_a_difference_is_seen_from_the_threshold_on_whatever_its_sign(difference: float, seen: bool) -> None:
    assert visibility(difference, known(0.3)).seen is seen


def test_noise_known_from_few_runs_asks_for_more() -> None:
    few = visibility(0.5, Noise(variance=0.09, df=4))
    assert few.threshold > visibility(0.5, known(0.3)).threshold


def test_no_difference_is_found_by_no_number_of_seeds() -> None:
    found = visibility(0.0, known(0.3))
    assert (found.seeds, found.seen) == (None, False)


@pytest.mark.parametrize(("noise", "options"), [(0.0, {}), (0.3, {"alpha": 0.0}), (0.3, {"power": 1.0})])
def test_what_is_out_of_range_is_refused(noise: float, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"noise|alpha"):
        visibility(0.5, known(noise), **options)


@pytest.mark.parametrize("difference", [0.4, -1.7])
def test_a_difference_is_seen_just_below_the_largest_noise_and_not_above_it(difference: float) -> None:
    bound = largest_noise(difference)
    assert visibility(difference, known(0.999 * bound)).seen
    assert not visibility(difference, known(1.001 * bound)).seen


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        largest_noise(0.5, alpha=1.0)
