import numpy as np
import pytest

from ablata.stats import Table

NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[1.0], [2.0]], "shape"),
        ([1.0, 2.0], "shape"),
        ([[1.0, float("inf")]], "finite"),
        ([[1.0, 2.0], [NAN, 2.0]], "control"),
        ([[1.0, 2.0], [1.0, NAN], [1.0, 2.0]], "closed"),
    ],
)
def test_scores_that_no_study_can_give_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        Table.of(scores)


def test_masks_must_have_the_shape_of_what_they_mark():
    with pytest.raises(ValueError, match="diverged"):
        Table.of([[1.0, 2.0]], diverged=[[True]])
    with pytest.raises(ValueError, match="unpaired"):
        Table.of([[1.0, 2.0]], unpaired=[[True, False]])


def test_a_diverged_run_is_no_closed_arm_and_its_score_is_not_used():
    table = Table.of([[1.0, NAN], [1.0, 99.0], [1.0, 2.0]], diverged=[[0, 1], [0, 1], [0, 0]])
    assert table.open_arms == [1]
    assert np.isnan(table.scores[:2, 1]).all()
    assert table.divergences(1) == (2, 0, 0)


def test_a_closed_arm_is_not_open():
    assert Table.of([[1.0, 2.0, 3.0], [1.0, NAN, 3.0]]).open_arms == [2]


def test_an_infinite_score_is_allowed_where_the_run_is_marked_as_diverged():
    assert Table.of([[1.0, float("inf")]], diverged=[[0, 1]]).divergences(1) == (1, 0, 0)


def test_a_mark_at_a_closed_seed_does_not_unpair_an_arm():
    scores = [[1.0, 2.0], [1.0, NAN]]
    assert not Table.of(scores, unpaired=[[0], [1]]).unpaired.any()
    assert Table.of(scores, unpaired=[[1], [0]]).unpaired.tolist() == [False, True]
