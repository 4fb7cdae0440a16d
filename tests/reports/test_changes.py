from __future__ import annotations

from dataclasses import replace

from ablata.reports.view import ArmView, ChangeView, StudyView
from ablata.reports.words import change_words


def arm(name: str, **values: str) -> ArmView:
    return ArmView(name=name, changes=tuple(ChangeView(key=key, old="0", new=new) for key, new in values.items()))


def told(example: StudyView, *arms: ArmView) -> list[str]:
    view = replace(example, arms=(example.arms[0], *arms))
    return [change_words(view, one) for one in view.arms]


def test_an_arm_with_much_to_tell_is_told_by_the_arm_that_it_goes_on_from(example: StudyView) -> None:
    small, large = arm("small", a="1", b="1"), arm("large", a="1", b="1", c="1", d="1", e="1")
    larger = arm("larger", a="1", b="2", c="1", d="1", e="1", f="1")
    assert told(example, small, large, larger) == [
        "",
        "a: 0 → 1; b: 0 → 1",
        "small, and c: 0 → 1; d: 0 → 1; e: 0 → 1",
        "large, and b: 1 → 2; f: 0 → 1",
    ]


def test_an_arm_that_undoes_what_another_changes_or_shares_no_value_with_it_is_told_by_itself(
    example: StudyView,
) -> None:
    much = arm("much", a="1", b="1", c="1", d="1", e="1")
    own = "a: 0 → 1; b: 0 → 1; c: 0 → 1; and 2 more, below"
    assert told(example, arm("undone", a="1", z="1"), much)[-1] == own
    assert told(example, arm("other", a="2", b="2"), much)[-1] == own
    assert told(example, much, arm("later", a="1"))[1] == own


def test_an_arm_whose_changes_fit_is_told_whole(example: StudyView) -> None:
    assert told(example, arm("small", a="1"), arm("both", a="1", b="1"))[-1] == "a: 0 → 1; b: 0 → 1"
