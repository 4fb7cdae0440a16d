import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_t

from ablata.stats import Calibration, History, Rule, calibrate, calibration_key
from ablata.stats.contrasts import t_quantile

PUBLISHED = {
    (1, 5): (0.0293, 0.1310),
    (5, 5): (0.0102, 0.0439),
    (10, 3): (0.0150, 0.0510),
    (10, 5): (0.0094, 0.0321),
    (10, 8): (0.0058, 0.0229),
    (10, 10): (0.0045, 0.0199),
}
PUBLISHED_LARGE = {(30, 5): (0.0061, 0.0183), (30, 10): (0.0026, 0.0096)}


def assert_as_published(arms: int, seeds: int, published: tuple[float, float]) -> None:
    """Both are alpha quantiles of 20,000 studies: 3 standard errors of the difference, on the scale of the share."""
    for alpha, bound in zip((0.05, 0.20), published, strict=True):
        ours = calibrate(arms, Rule(margin=1, seeds=seeds, alpha=alpha), version=1)
        share = 1 - ours.confidence(bound, 1.0)
        error = math.sqrt(2 * alpha * (1 - alpha) / ours.studies)
        assert share == pytest.approx(alpha, abs=3 * error + 0.002)


@pytest.mark.parametrize(("arms", "seeds"), list(PUBLISHED))
def test_bounds_of_the_first_version_are_the_published_ones(arms, seeds):
    assert_as_published(arms, seeds, PUBLISHED[arms, seeds])


@pytest.mark.slow
@pytest.mark.parametrize(("arms", "seeds"), list(PUBLISHED_LARGE))
def test_bounds_of_thirty_arms_are_the_published_ones(arms, seeds):
    assert_as_published(arms, seeds, PUBLISHED_LARGE[arms, seeds])


def test_the_same_seed_gives_the_same_bits_and_another_seed_gives_others():
    rule = Rule(margin=1)
    assert calibrate(2, rule, studies=500) == calibrate(2, rule, studies=500)
    assert calibrate(2, rule, studies=500).bound != calibrate(2, rule, studies=500, seed=1).bound


def test_chunks_cover_every_study(monkeypatch):
    monkeypatch.setattr("ablata.stats.calibration.CHUNK_SCORES", 100 * 5 * 3)
    ours = calibrate(2, Rule(margin=1), studies=1_050)
    assert ours.ranks[-1] == 1_050
    assert ours.bound == pytest.approx(calibrate(2, Rule(margin=1)).bound, rel=0.35)


def test_the_key_names_all_that_the_bound_depends_on_and_nothing_else():
    rule = Rule(margin=1)
    key = calibration_key(3, rule)
    history = History(df=10, variance=1)
    changed = [
        calibration_key(4, rule),
        calibration_key(3, replace(rule, seeds=6)),
        calibration_key(3, replace(rule, alpha=0.2)),
        calibration_key(3, replace(rule, first_look=2)),
        calibration_key(3, replace(rule, prior_df=0)),
        calibration_key(3, replace(rule, history=history)),
        calibration_key(3, rule, studies=10),
        calibration_key(3, rule, seed=1),
        calibration_key(3, rule, version=1),
    ]
    assert len({key, *changed}) == len(changed) + 1
    assert key == calibration_key(3, replace(rule, margin=2, futility=False, higher_is_better=False))
    assert calibration_key(3, replace(rule, history=history)) == calibration_key(
        3, replace(rule, history=History(df=10, variance=5))
    )
    assert calibrate(3, rule, studies=100).key == calibration_key(3, rule, studies=100)


def test_a_calibration_fits_only_its_own_design():
    rule = Rule(margin=1)
    calibration = calibrate(1, rule, studies=100)
    assert calibration.fits(1, replace(rule, margin=3))
    assert not calibration.fits(11, rule)
    assert not calibration.fits(1, replace(rule, seeds=6))


def test_confidence_at_the_bound_is_one_minus_alpha_and_falls_with_p():
    calibration = calibrate(5, Rule(margin=1))
    assert calibration.confidence(calibration.bound, 1.0) == pytest.approx(0.95, abs=1e-3)
    confidences = [calibration.confidence(p, 0.6) for p in np.geomspace(1e-9, 1, 50)]
    assert confidences == sorted(confidences, reverse=True)
    assert confidences[-1] == 0.0


def test_confidence_never_claims_more_than_the_simulated_studies_can_show():
    calibration = calibrate(2, Rule(margin=1), studies=1_000)
    assert calibration.confidence(0.0, 1.0) == 1 - 1 / 1_000


def test_a_rule_without_looks_has_no_bound_and_no_confidence():
    calibration = calibrate(2, Rule(margin=1, seeds=2))
    assert calibration.bound == 0
    assert calibration.confidence(0.0, 1.0) == 0


def test_a_calibration_survives_json():
    calibration = calibrate(2, Rule(margin=1), studies=2_000)
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json(), allow_nan=False))) == calibration


def test_a_study_without_arms_cannot_be_calibrated():
    with pytest.raises(ValueError, match="at least one arm"):
        calibrate(0, Rule(margin=1))


def test_a_single_look_of_one_arm_without_prior_needs_no_correction():
    ours = calibrate(1, Rule(margin=1, seeds=4, first_look=4, prior_df=0))
    assert ours.bound == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / ours.studies))


def test_a_single_look_with_a_shared_variance_and_equal_noise_has_dunnetts_critical_value(monkeypatch):
    monkeypatch.setattr("ablata.stats.calibration.LOG_SPREAD", 0.0)
    ours = calibrate(5, Rule(margin=1, first_look=5, prior_df=1e9), version=1)
    critical = t_quantile(1 - ours.bound / 2, 20)
    correlation = np.full((5, 5), 0.5) + 0.5 * np.eye(5)
    joint = multivariate_t(shape=correlation, df=20, seed=0)
    coverage = joint.cdf(np.full(5, critical), lower_limit=np.full(5, -critical))
    assert coverage == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / ours.studies) + 0.001)
    assert critical == pytest.approx(2.73, abs=0.05)


def test_the_bound_grows_with_the_fourth_power_of_the_seeds_and_in_the_first_version_with_the_seeds():
    rule = Rule(margin=1)
    newest, first = calibrate(2, rule, studies=200), calibrate(2, rule, studies=200, version=1)
    assert newest.bound_at(5, rule) == newest.bound
    assert newest.bound_at(3, rule) == pytest.approx(newest.bound * 0.6**4)
    assert first.bound_at(3, rule) == pytest.approx(first.bound * 0.6)


def test_a_calibration_kept_before_versions_were_written_is_of_the_first():
    stored = calibrate(2, Rule(margin=1), studies=200, version=1).to_json()
    stored.pop("version")
    assert Calibration.from_json(stored).version == 1
