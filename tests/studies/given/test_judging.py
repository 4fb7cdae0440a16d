"""Runs that exist, judged: the control, pairs or groups, and what cannot be judged."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.studies.given.judging import judge_given
from ablata.trainers.given import GivenRun, GivenRuns, lower_is_better


def given(scores: dict[str, dict[int | None, float] | list[float]]) -> GivenRuns:
    runs = [
        GivenRun(arm=arm, seed=seed, scores={"acc": value}, source="here")
        for arm, values in scores.items()
        for seed, value in (values.items() if isinstance(values, dict) else [(None, value) for value in values])
    ]
    return GivenRuns(runs=tuple(runs), score="acc")


def _seeds(values: list[float], first: int = 0) -> dict[int | None, float]:
    return {first + index: value for index, value in enumerate(values)}


def test_seeds_are_compared_where_both_have_them() -> None:
    rng = np.random.default_rng(0)
    luck = 5 * rng.standard_normal(6)
    base, wide = (luck + 0.05 * rng.standard_normal(6)).tolist(), (luck + 1 + 0.05 * rng.standard_normal(6)).tolist()
    paired = judge_given(given({"base": _seeds(base), "wide": _seeds(wide)}))
    assert paired.result.paired
    assert paired.result.arms[0].verdict == "better"
    for why, scores in {
        "not every run tells its seed": {"base": base, "wide": _seeds(wide)},
        "wide shares no seed": {"base": _seeds(base), "wide": _seeds(wide, 100)},
    }.items():
        apart = judge_given(given(scores))
        assert not apart.result.paired
        assert any(why in note for note in apart.notes)
        assert apart.result.arms[0].verdict == "undecided"


def test_a_seed_that_comes_twice_makes_no_pair() -> None:
    runs = given({"base": _seeds([1.0, 2.0, 3.0]), "wide": _seeds([1.0, 2.0, 3.0])})
    twice = GivenRuns(runs=(*runs.runs, runs.runs[0]), score="acc")
    assert any("base has seed 0 more than once" in note for note in judge_given(twice).notes)


def test_the_control_is_named_or_has_a_usual_name() -> None:
    runs = given({"wide": [1.0, 2.0], "Baseline": [1.0, 2.0]})
    found = judge_given(runs)
    assert (found.control, found.arms) == ("Baseline", ("wide",))
    assert "the control is Baseline" in found.notes
    assert judge_given(runs, control="wide").arms == ("Baseline",)
    with pytest.raises(DataError, match="one of wide, Baseline"):
        judge_given(runs, control="base")
    with pytest.raises(DataError, match="which arm is the control"):
        judge_given(given({"a": [1.0], "b": [1.0]}))
    with pytest.raises(DataError, match="an arm beside the control"):
        judge_given(given({"base": [1.0]}))
    with pytest.raises(DataError, match="above 0"):
        judge_given(runs, margin=-1.0)


def test_runs_without_any_noise_decide_nothing() -> None:
    for scores in ({"base": [90.0] * 3, "wide": [91.0] * 3}, {"base": _seeds([90.0] * 3), "wide": _seeds([91.0] * 3)}):
        assert [arm.verdict for arm in judge_given(given(scores)).result.arms] == ["undecided"]


def test_shares_beside_percentages_are_refused_and_a_training_that_collapsed_is_not() -> None:
    for better, worse, refused in (((0.9, 0.91), (91.0, 92.0), True), ((70.0, 72.0), (1.0, 1.0), False)):
        scores = given({"base": list(better), "wide": list(worse)})
        if refused:
            with pytest.raises(DataError, match=r"one unit\n.*shares of 1 in base \(0.9\), percentages in wide \(91\)"):
                judge_given(scores)
            judge_given(scores, higher_is_better=False)
        else:
            judge_given(scores)


def test_a_name_that_sounds_like_a_loss_asks_for_its_direction() -> None:
    for name in ("loss", "val_loss", "eval/error", "rmse", "val_bpb", "perplexity"):
        with pytest.raises(DataError, match="which scores are better"):
            lower_is_better(name, None)
        assert lower_is_better(name, True)
        assert not lower_is_better(name, False)
    for name in ("acc", "val_acc", "metrics/mAP50(B)", "glossary", "terror", "top1", "mIoU", "lossless"):
        assert not lower_is_better(name, None)
