"""What a verdict rests on, in sentences."""

from __future__ import annotations

from dataclasses import replace

from ablata.reports.standing.words import standing_words, warned_words
from ablata.reports.view import HistoryView, JudgementView, PlanView, StudyView
from ablata.reports.words import answer, overstated_words, rule_words, verdict_words
from ablata.stats.assumptions.pairing import Pairing


def with_arm(view: StudyView, verdict: str, **parts: object) -> StudyView:
    """The study with the first arm of a verdict changed."""
    chosen = next(arm for arm in view.arms if arm.verdict == verdict)
    changed = replace(chosen, **parts)  # type: ignore[arg-type]
    return replace(view, arms=tuple(changed if arm is chosen else arm for arm in view.arms))


def test_an_exploratory_verdict_is_called_so_wherever_it_stands(example: StudyView) -> None:
    view = with_arm(example, "better", exploratory="5 of 5 seeds had run before")
    (arm,) = [arm for arm in view.arms if arm.exploratory]
    assert verdict_words(arm, "claim") == "better, exploratory"
    assert "(exploratory: no claim)" in "".join(piece.text for piece in answer(view))
    assert warned_words(view) == (f"Exploratory, no claim: {arm.name}: 5 of 5 seeds had run before.",)


def test_earlier_and_later_judgements_of_a_question_are_told(example: StudyView) -> None:
    before = JudgementView(
        arm="nearest", study="old", alias="fast", verdict="undecided", seeds=5, looks=3, margin=0.5, before=True
    )
    since = replace(before, study="new", alias="nearest", margin=None, looks=1, before=False)
    assert standing_words(replace(example, account=(before, since)))[:2] == (
        "Judged before: nearest in old (as fast), with margin 0.50 points, 5 seeds, 3 looks: undecided.",
        "Also judged since: nearest in new, without a margin, 5 seeds, 1 look: undecided.",
    )


def test_a_history_that_does_not_agree_is_told(example: StudyView) -> None:
    view = replace(example, plan=PlanView(noise=0.3))
    told = {
        trust: warned_words(replace(view, history=HistoryView(noise=0.1, df=12.0, trust=trust)))[0]
        for trust in (1.0, 0.4, 0.0, None)
    }
    assert "counts in full" in told[1.0]
    assert "counts by 40%: this study's runs are noisier (0.30 points in all)" in told[0.4]
    assert "is not used: this study's runs are noisier" in told[0.0]
    assert "is to count" in told[None]


def test_seeds_that_do_not_move_together_are_told_in_the_terminal_too(example: StudyView) -> None:
    apart = Pairing(correlation=-0.3, low=-0.5, high=0.0, seeds=12, arms=3)
    (told,) = warned_words(replace(example, pairing=apart))
    assert told.startswith("Unpaired in effect")
    together = Pairing(correlation=0.5, low=0.3, high=0.7, seeds=12, arms=3)
    assert warned_words(replace(example, pairing=together)) == ()
    assert "move together" in standing_words(replace(example, pairing=together))[0]


def test_an_effect_that_few_studies_would_find_is_called_overstated(example: StudyView) -> None:
    (told,) = overstated_words(with_arm(example, "better", corrected=0.5, power=0.24))
    assert "the truth is probably smaller, about +0.50: only 24% of studies like this find" in told
    assert overstated_words(with_arm(example, "better", corrected=0.5, power=0.9)) == ()


def test_the_rule_says_how_its_rate_is_split_over_extensions(example: StudyView) -> None:
    split = replace(example.rule, waves=(5, 10), levels=(0.005, 0.01), extendable=True)
    assert "can be extended and is judged after 5 seeds at 0.5%, 10 seeds at 1%" in rule_words(
        replace(example, rule=split)
    )
    spent = replace(split, levels=(0.05, 0.05), extendable=False)
    assert "later verdicts are exploratory" in rule_words(replace(example, rule=spent))


def test_the_test_is_named_with_what_it_assumes(example: StudyView) -> None:
    told = standing_words(example)[-1]
    assert told.startswith("Test: t tests of arm minus control at equal seeds")
    assert "independent" in told
    once = replace(example, rule=replace(example.rule, mode="given"))
    assert "once" in standing_words(once)[-1]
