"""Factorial studies: effects as least squares gives them, false verdicts at the promised rate, the power promised."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ablata.stats import Rule, Verdict, plan_factorial
from ablata.stats.calibration import Calibration
from ablata.stats.factors.designs import Design
from ablata.stats.factors.factorial import FactorialResult, calibrate_factorial, predicted_best
from ablata.stats.factors.factorial import judge_factorial as judged

SEVEN = Design.of(7)
WITHIN, SHARED = 0.75**0.5, 0.5
"""A run's noise of 1 sd, a quarter of its variance the seed's part that all cells share."""


def draw(
    main: np.ndarray,
    rng: np.random.Generator,
    seeds: int,
    interaction: np.ndarray | None = None,
    design: Design = SEVEN,
) -> np.ndarray:
    """Draw the scores of one study, (seeds, cells)."""
    signs = design.signs.astype(float)
    mean = (signs + 1) / 2 @ main
    if interaction is not None:
        mean = mean + np.einsum("ck,kl,cl->c", signs, interaction, signs) / 4
    return mean + SHARED * rng.standard_normal((seeds, 1)) + WITHIN * rng.standard_normal((seeds, design.cells))


def rule_and_bound(seeds: int, **settings: object) -> tuple[Rule, Calibration]:
    rule = Rule(seeds=seeds, first_look=2, **settings)  # type: ignore[arg-type]
    return rule, calibrate_factorial(SEVEN, rule, studies=8000)


def judge_factorial(scores: np.ndarray, design: Design, rule: Rule, bound: Calibration) -> FactorialResult:
    found = judged(scores, design, rule, bound)
    assert found is not None
    return found


def test_effects_and_noise_are_those_of_least_squares() -> None:
    rng = np.random.default_rng(1)
    rule, bound = rule_and_bound(4)
    scores = draw(rng.standard_normal(7), rng, 4)
    result = judge_factorial(scores, SEVEN, rule, bound)
    blocks, cells = np.repeat(np.arange(4), 16), np.tile(np.arange(16), 4)
    columns = SEVEN.contrasts[cells].astype(float)
    layout = np.column_stack([np.eye(4)[blocks], columns])
    solution, (residual,), rank, _ = np.linalg.lstsq(layout, scores.ravel(), rcond=None)
    np.testing.assert_allclose(result.contrasts, 2 * solution[4:])
    assert result.noise == pytest.approx((residual / (64 - rank)) ** 0.5)
    assert FactorialResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@pytest.mark.slow
def test_where_nothing_differs_few_studies_have_any_verdict() -> None:
    rng, studies = np.random.default_rng(2), 600
    rule, bound = rule_and_bound(3)
    loud = np.array([1.0] * 8 + [2.0] * 8)
    for spread in (np.ones(16), loud):
        false = 0
        for _ in range(studies):
            scores = WITHIN * spread * rng.standard_normal((3, 16))
            false += any(
                f.verdict is not Verdict.UNDECIDED for f in judge_factorial(scores, SEVEN, rule, bound).factors
            )
        # 5% and three standard errors
        assert false / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def test_power_false_verdicts_and_flags_are_those_of_the_simulation_it_was_chosen_by() -> None:
    """Seven changes, +e, -e and +e/2 real, e = 1.5 sd: power of +-e 83% with 16 cells and 2 seeds, 98% with 3."""
    rng, studies = np.random.default_rng(3), 200
    main = np.array([1.5, -1.5, 0.75, 0, 0, 0, 0])
    for seeds, power in ((2, 0.83), (3, 0.98)):
        rule, bound = rule_and_bound(seeds)
        for strength in (0.0, 0.6 * 1.5):
            found = false = large = flagged = 0
            for _ in range(studies):
                interaction = np.triu(rng.standard_normal((7, 7)) * strength, 1)
                result = judge_factorial(draw(main, rng, seeds, interaction), SEVEN, rule, bound)
                verdicts = [factor.verdict for factor in result.factors]
                found += (verdicts[0] is Verdict.BETTER) + (verdicts[1] is Verdict.WORSE)
                false += any(
                    (verdict is Verdict.BETTER and effect <= 0) or (verdict is Verdict.WORSE and effect >= 0)
                    for verdict, effect in zip(verdicts, main, strict=True)
                )
                for group in result.interactions:
                    if abs(sum(interaction[pair] for pair in group.pairs)) / 2 > 1:
                        large, flagged = large + 1, flagged + group.flagged
            assert found / (2 * studies) > power - 0.05
            assert false / studies < 0.05
            assert flagged >= 0.8 * large


def test_margin_and_direction_decide_as_in_other_studies() -> None:
    rng = np.random.default_rng(4)
    rule, bound = rule_and_bound(6, margin=1.5, higher_is_better=False)
    result = judge_factorial(draw(np.array([3.0, -3.0, 0, 0, 0, 0, 0]), rng, 6), SEVEN, rule, bound)
    verdicts = [factor.verdict for factor in result.factors]
    assert verdicts[:2] == [Verdict.WORSE, Verdict.BETTER]
    assert set(verdicts[2:]) == {Verdict.EQUIVALENT}
    assert result.settled
    assert result.factors[0].seeds < 6


def test_one_block_decides_nothing() -> None:
    rule, bound = rule_and_bound(3)
    result = judge_factorial(np.arange(16.0)[None], SEVEN, rule, bound)
    assert {factor.verdict for factor in result.factors} == {Verdict.UNDECIDED}
    assert (result.noise, result.factors[0].se, result.interactions[0].p) == (None, None, None)


def test_scores_that_do_not_fit_are_refused() -> None:
    rule, bound = rule_and_bound(3)
    for scores, words in (
        (np.zeros((2, 8)), "shape"),
        (np.zeros((4, 16)), "shape"),
        (np.full((2, 16), np.inf), "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            judge_factorial(scores, SEVEN, rule, bound)
    with pytest.raises(ValueError, match="calibration"):
        judge_factorial(np.zeros((2, 16)), SEVEN, Rule(seeds=4), bound)
    assert judged(np.full((2, 16), np.nan), SEVEN, rule, bound) is None


def test_the_detectable_effect_is_found_in_four_of_five_studies() -> None:
    rng, studies = np.random.default_rng(5), 400
    rule, bound = rule_and_bound(3)
    effect = plan_factorial(WITHIN, SEVEN, rule, bound).detectable
    assert effect is not None
    found = 0
    for _ in range(studies):
        result = judge_factorial(draw(np.array([effect, 0, 0, 0, 0, 0, 0]), rng, 3), SEVEN, rule, bound)
        found += result.factors[0].verdict is Verdict.BETTER
    assert 0.74 < found / studies < 0.90


@pytest.mark.slow
def test_without_a_cell_effects_are_those_of_least_squares_and_false_verdicts_stay_rare() -> None:
    rng, studies = np.random.default_rng(6), 500
    rule, bound = rule_and_bound(3)
    scores = draw(rng.standard_normal(7), rng, 3)
    scores[0, 5] = np.nan
    result = judge_factorial(scores, SEVEN, rule, bound)
    left = np.delete(np.arange(16), 5)
    columns = np.concatenate([SEVEN.signs, SEVEN.interactions], axis=1)[left].astype(float)
    layout = np.column_stack([np.repeat(np.eye(3), 15, axis=0), np.tile(columns, (3, 1))])
    solution = np.linalg.lstsq(layout, scores[:, left].ravel(), rcond=None)[0]
    np.testing.assert_allclose(result.contrasts, 2 * solution[3:])
    assert (result.lost, result.clear, result.cells[5]) == ((5,), True, pytest.approx(scores[1:, 5].mean()))
    assert FactorialResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    false = 0
    for _ in range(studies):
        # A pair of changes that diverge together, and strong interactions of the others.
        table = draw(np.zeros(7), rng, 3, np.triu(rng.standard_normal((7, 7)), 1))
        table[:, 5] = np.nan
        found = judge_factorial(table, SEVEN, rule, bound)
        false += any(factor.verdict is not Verdict.UNDECIDED for factor in found.factors)
    assert false / studies < 0.05 + 3 * (0.05 * 0.95 / studies) ** 0.5


def test_the_best_combination_is_predicted_by_effects_and_flagged_interactions() -> None:
    rng = np.random.default_rng(7)
    design = Design.of(3)
    rule = Rule(seeds=3, first_look=2, margin=0.5)
    bound = calibrate_factorial(design, rule, studies=2000)
    # Each of the two helps, and they harm together; the third does nothing.
    mean = (design.signs > 0) @ np.array([3.0, 2.0, 0.0]) - 2.0 * design.signs[:, 0] * design.signs[:, 1]
    scores = mean + 0.1 * rng.standard_normal((3, 8))
    result = judge_factorial(scores, design, rule, bound)
    assert predicted_best(result, higher=True) == (0,)
    assert predicted_best(result, higher=False) == ()
