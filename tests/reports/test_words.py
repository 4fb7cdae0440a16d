from dataclasses import replace

from ablata.reports.console import plain_lines
from ablata.reports.html import study_page
from ablata.reports.markdown import study_markdown
from ablata.reports.plots.forest import forest
from ablata.reports.reasons import noisy_arm, rounded
from ablata.reports.terminal import study_report
from ablata.reports.view import ArmView, Estimate, RuleView, StudyView
from ablata.reports.words import answer, glossary, plan_words, reading_words, rule_words, verdict_words
from ablata.stats.wording import between


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
    assert said(keep(example, "ohem", "nearest")).startswith("Both changes are decided: ohem")
    assert said(keep(example, "ema")) == "The change is not decided. ema is undecided."
    assert said(keep(example, "ema", "wide-context")).startswith("None of 2 changes is decided. ")
    assert "no arm beside the control" in said(keep(example))


def test_before_the_first_look_nothing_is_claimed(example: StudyView) -> None:
    arms = (*(arm for arm in example.arms if arm.is_control), ArmView(name="new"))
    running = replace(example, arms=arms, state="running")
    assert said(running) == "Nothing is decided yet: the first verdict comes at 3 seeds of every arm."
    assert said(replace(running, state="finished")).startswith("Nothing was decided: the study was ended before")


def test_many_arms_are_counted_not_listed(example: StudyView) -> None:
    arms = [replace(example.arms[place % 7], name=f"arm{place}") for place in range(1, 31) if place % 7]
    words = said(replace(example, arms=(example.arms[0], *arms)))
    assert "more below" in words
    assert len(words) < 500


def test_the_glossary_turns_with_the_metric(example: StudyView) -> None:
    assert "higher" in dict(glossary(example))["better"]
    loss = replace(example, metric=replace(example.metric, higher_is_better=False))
    assert "lower" in dict(glossary(loss))["better"]


def test_what_is_said_of_a_loss_goes_with_the_sign_of_its_effect(example: StudyView) -> None:
    told = said(replace(example, metric=replace(example.metric, name="loss", higher_is_better=False)))
    assert "ohem is better by 1.03 points (lower loss: [+0.70, +1.36])" in told
    loss = replace(example, metric=replace(example.metric, higher_is_better=False))
    assert "an effect (arm minus control) below 0 is a gain" in rule_words(loss)


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


def test_a_margin_too_small_is_named_only_while_an_arm_is_undecided(example: StudyView) -> None:
    plan = replace(example.plan, smallest_margin=9.0)
    assert "equivalence is unlikely" in plan_words(replace(example, plan=plan))
    assert "equivalence is unlikely" not in plan_words(replace(keep(example, "ohem", "nearest"), plan=plan))


def test_what_looks_like_a_contradiction_is_explained_beside_the_table(example: StudyView) -> None:
    wide = [replace(arm, effect=Estimate(value=0.0, low=-0.1, high=0.4)) for arm in keep(example, "nearest").treatments]
    view = replace(keep(example), arms=(*keep(example, "ohem").arms, *wide))
    told = " ".join(reading_words(view))
    assert "nearest: equivalent, though the interval reaches beyond the margin" in told
    assert "ohem: compared with the control at the arm's own seeds" in told
    for page in (study_page(view), study_markdown(view), plain_lines(study_report(view))):
        assert "two one-sided tests" in page
    inside = replace(wide[0], effect=Estimate(value=0.0, low=-0.1, high=0.1))
    assert reading_words(replace(view, arms=(view.arms[0], inside))) == ()


def test_a_reason_and_the_table_round_an_interval_alike(example: StudyView) -> None:
    effect = Estimate(value=0.0, low=-0.7461, high=0.9)
    told = replace(keep(example, "ema").treatments[0], effect=effect, reason=f"it is {between((-0.7461, 0.9))}")
    view = rounded(replace(example, margin=2.0, arms=(example.arms[0], told)))
    assert view.arms[1].reason == "it is between -0.7 and +0.9"


def test_an_arm_much_noisier_than_the_others_is_named_with_its_ratio() -> None:
    noise = (0.3, -0.2, 0.1, -0.4, 0.2)
    scores = {
        "control": [90 + value for value in noise],
        "mine": [90 + 10 * value for value in reversed(noise)],
        "wide": [91 - value for value in noise],
        "deep": [89 + value * (-1) ** place for place, value in enumerate(noise)],
    }
    found = noisy_arm(scores, "control")
    assert found is not None
    assert (found.name, found.ratio > 3) == ("mine", True)
    assert "arm mine varies" in found.words
    assert "ask without it" in found.words
    assert noisy_arm({name: scores[name] for name in ("control", "wide", "deep")}, "control") is None
    assert noisy_arm({name: scores[name] for name in ("control", "mine")}, "control") is None
    assert noisy_arm(scores, "mine") is None
