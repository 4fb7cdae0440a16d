from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ablata.notebooks.reader.claims import _READERS, _SIGNS, read_claim


def test_remarks_claim_what_their_words_say(subtests: pytest.Subtests) -> None:
    for words, claim in [
        ("提高了近两个点", "better"),
        ("看样子还是有用的", "better"),
        ("helps a lot", "better"),
        ("slightly better than the last one", "better"),
        ("说明之前学习率太大了", "better"),
        ("反而更差了", "worse"),
        ("换成这个不行", "worse"),
        ("没有上一个好", "worse"),
        ("可以，但是太慢了", "worse"),
        ("hurts", "worse"),
        ("does not help", "worse"),
        ("都差不多，作用不大", "same"),
        ("强一点点，差不多", "same"),
        ("没什么用", "same"),
        ("no difference", "same"),
        ("更快，但是不一定会更好", "same"),
        ("爆了nan", "failed"),
        ("还没收敛", "failed"),
        ("out of memory", "failed"),
        ("diverged", "failed"),
        ("前面都差不多，但是比不加差一些", "worse"),
        ("是否更好？", None),
        ("如果不收敛就先warmup", None),
        ("should be better", None),
        ("没有报错", None),
        ("都是没有问题的", None),
        ("", None),
        ("nearest, 3x3", None),
    ]:
        with subtests.test(words=words, claim=claim):
            assert read_claim(words) == claim


def test_what_beats_the_trial_counts_against_it() -> None:
    assert read_claim("看样子用gate比plain好", "使用plain而不是gate") == "worse"
    assert read_claim("看样子用gate比plain好", "gate放在最后") == "better"


@pytest.mark.parametrize(
    "pattern", [pattern for _, pattern in _READERS], ids=["now right", "failed", "same", "worse", "better"]
)
@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_claims_has_one_of_the_signs_that_are_looked_for_first(
    pattern: re.Pattern[str], data: st.DataObject
) -> None:
    words = data.draw(st.from_regex(pattern))
    assert _SIGNS.search(words.lower())
