from __future__ import annotations

import doctest
import inspect

from ablata import stats


def test_the_example_of_the_room_prints_what_it_says() -> None:
    done = doctest.testmod(stats)
    assert done.attempted > 4
    assert done.failed == 0


def test_each_public_name_is_documented() -> None:
    names = [name for name in stats.__all__ if name != "RULE_VERSION"]
    assert [name for name in names if not inspect.getdoc(getattr(stats, name))] == []
