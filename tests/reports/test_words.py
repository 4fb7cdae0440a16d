from dataclasses import replace

from ablata.reports.console import plain_lines
from ablata.reports.forest import forest
from ablata.reports.html import study_page
from ablata.reports.terminal import study_report
from ablata.reports.view import ArmView, RuleView, StudyView
from ablata.reports.words import answer, glossary, plan_words, rule_words, verdict_words


def said(view: StudyView) -> str:
    return "".join(piece.text for piece in answer(view))


def keep(view: StudyView, *names: str) -> StudyView:
    return replace(view, arms=tuple(arm for arm in view.arms if arm.is_control or arm.name in names))


def test_the_answer_names_what_was_decided_with_size_and_interval(example: StudyView) -> None:
    assert said(example) == (
        "4 of 6 changes are decided: ohem is better by 1.03 points [+0.70, +1.36]; no-augment is worse by 1.91 points "
        "[−2.31, −1.51]; nearest is equivalent within ±0.30 points; lr-x4 is unstable (2 of 5 runs diverged). "
        "wide-context and ema are undecided."
    )


def test_names_of_arms_stand_out(example: StudyView) -> None:
    assert {piece.text for piece in answer(example) if piece.strong} == {arm.name for arm in example.treatments}


def test_screening_only_leans(example: StudyView) -> None:
    screen = replace(example, rule=RuleView(mode="screen", alpha=0.2))
    assert "ohem leans better by" in said(screen)
    assert "is better" not in said(screen)
    assert verdict_words(screen.arms[1], "screen") == "leaning better"
    assert verdict_words(screen.arms[5], "screen") == "unstable"


def test_an_open_arm_is_not_called_undecided_for_good(example: StudyView) -> None:
    running = keep(example, "ohem", "wide-context", "ema")
    running = replace(running, arms=tuple(replace(arm, open=arm.name == "ema") for arm in running.arms))
    assert said(running).endswith(". wide-context is undecided. ema is still open.")
    assert verdict_words(running.arms[-1], "claim") == "undecided so far"


def test_all_none_and_one_decided_read_well(example: StudyView) -> None:
    assert said(keep(example, "ohem")).startswith("The change is decided: ohem")
    assert said(keep(example, "ohem", "nearest")).startswith("All 2 changes are decided: ohem")
    assert said(keep(example, "ema")) == "The change is not decided. ema is undecided."
    assert said(keep(example, "ema", "wide-context")).startswith("None of 2 changes is decided. ")
    assert "no arm beside the control" in said(keep(example))


def test_before_the_first_look_nothing_is_claimed(example: StudyView) -> None:
    arms = (*(arm for arm in example.arms if arm.is_control), ArmView(name="new"))
    assert (
        said(replace(example, arms=arms)) == "Nothing is decided yet: the first verdict comes at 3 seeds of every arm."
    )


def test_many_arms_are_counted_not_listed(example: StudyView) -> None:
    arms = [replace(example.arms[place % 7], name=f"arm{place}") for place in range(1, 31) if place % 7]
    words = said(replace(example, arms=(example.arms[0], *arms)))
    assert "more below" in words
    assert len(words) < 500


def test_the_glossary_turns_with_the_metric(example: StudyView) -> None:
    assert "higher" in dict(glossary(example))["better"]
    loss = replace(example, metric=replace(example.metric, higher_is_better=False))
    assert "lower" in dict(glossary(loss))["better"]


def test_a_margin_that_cannot_be_confirmed_is_said(example: StudyView) -> None:
    assert "unlikely" not in plan_words(example)
    assert "unlikely" in plan_words(replace(example, plan=replace(example.plan, smallest_margin=0.59)))
    assert plan_words(replace(example, plan=type(example.plan)())) == ""


def test_the_rule_states_alpha_margin_seeds_and_futility(example: StudyView) -> None:
    words = rule_words(example)
    assert all(
        part in words for part in ("at most 5%", "claim", "±0.30 points", "up to 5 seeds", "from 3 on", "stops early")
    )
    assert "no arm stops early undecided" in rule_words(replace(example, rule=replace(example.rule, futility=False)))


def test_a_study_without_a_margin_speaks_of_none(example: StudyView) -> None:
    view = replace(example, margin=None)
    assert "no margin was given" in rule_words(view)
    assert "equivalent" not in dict(glossary(view))
    assert "Its margin" not in plan_words(view)
    for text in (study_page(view), plain_lines(study_report(view)), str(forest(view, width=900))):
        assert "argin ±" not in text
        assert "None" not in text
