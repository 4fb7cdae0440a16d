import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablata.base.quantities import duration, quantity, two_digits
from ablata.reports.figures import Figures, clean, clip, ratio
from ablata.reports.view import Estimate, MetricView, StudyView


def study(margin: float, unit: str = "%") -> StudyView:
    return StudyView(name="s", question="q", metric=MetricView(name="top1", unit=unit), margin=margin)


@pytest.mark.parametrize(
    ("margin", "text"), [(0.3, "+1.23"), (1.0, "+1.2"), (0.005, "+1.2346"), (25.0, "+1"), (0.0, "+1.235")]
)
def test_numbers_are_one_digit_finer_than_the_margin(margin: float, text: str) -> None:
    assert Figures.of(study(margin)).number(1.23456, sign=True) == text


def test_differences_of_per_cent_are_points_and_other_units_stay() -> None:
    assert Figures.of(study(0.3)).amount(-1.5) == "1.50 points"
    assert Figures.of(study(0.3)).score(91.0) == "91.00%"
    assert Figures.of(study(0.3, "ms")).amount(1.5) == "1.50 ms"


def test_what_rounds_to_zero_has_no_sign() -> None:
    figures = Figures(decimals=2)
    assert figures.number(-0.001, sign=True) == figures.number(0.001, sign=True) == figures.number(0.0) == "0.00"


def test_a_missing_interval_is_empty_and_a_missing_number_a_dash() -> None:
    figures = Figures(decimals=1, minus="-")
    assert figures.span(Estimate(value=1.0)) == ""
    assert figures.number(None) == "–"
    assert figures.span(Estimate(value=0.0, low=-1.0, high=2.0), sign=True) == "[-1.0, +2.0]"


@given(
    st.floats(-1e300, 1e300) | st.sampled_from([math.nan, math.inf, -math.inf]),
    st.floats(min_value=1e-12, max_value=1e12),
)
def test_every_float_can_be_written(value: float, margin: float) -> None:
    text = Figures.of(study(margin), minus="-").number(value, sign=True)
    if math.isfinite(value):
        assert abs(float(text) - value) <= max(abs(value) * 1e-3, margin)


def test_times_are_written_in_two_units(subtests: pytest.Subtests) -> None:
    for seconds, text in [
        (0.42, "0.4 s"),
        (42, "42 s"),
        (59.7, "1 min"),
        (185, "3 min 5 s"),
        (3599.9, "1 h"),
        (7800, "2 h 10 min"),
        (273600, "3 d 4 h"),
        (None, "–"),
        (math.inf, "–"),
    ]:
        with subtests.test(seconds=seconds, text=text):
            assert duration(seconds) == text


def test_quantities_have_prefixes() -> None:
    assert quantity(1.82e9) == "1.82 G"
    assert quantity(512 * 2**20, "B") == "512 MiB"
    assert quantity(12) == "12"
    assert quantity(None) == "–"
    assert ratio(1.123) == "1.12×"


def test_control_characters_become_visible_and_long_text_is_cut() -> None:
    assert clean("a\x1b[31mb\n") == "a\ufffd[31mb\ufffd"
    assert clip("abcdef", 4) == "abc…"
    assert clip("abcd", 4) == "abcd"


def test_an_interval_that_excludes_zero_is_not_written_as_touching_it(example: StudyView) -> None:
    arm = replace(example.arms[1], verdict="better", effect=Estimate(value=7.2, low=0.026, high=15.3))
    coarse = replace(example, margin=5.0, arms=(example.arms[0], arm))
    assert Figures.of(coarse).span(arm.effect, sign=True) == "[+0.03, +15.30]"
    undecided = replace(coarse, arms=(example.arms[0], replace(arm, verdict="undecided")))
    assert Figures.of(undecided).decimals == 1
    without = replace(undecided, margin=None, arms=(example.arms[0], replace(arm, verdict=None, seeds=())))
    assert Figures.of(without).decimals == 3


def test_two_digits_of_a_number_of_any_size() -> None:
    numbers = {0.5312: "0.53", 7.06: "7.1", 111.9: "110", 99.7: "100", -1234.0: "-1200", 2.5e7: "2.5e+07", 0.0: "0"}
    assert {number: two_digits(number) for number in numbers} == numbers
    assert two_digits(157.4, "+") == "+160"
