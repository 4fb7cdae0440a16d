from dataclasses import replace
from pathlib import Path

from ablata.reports.markdown import escape, study_markdown, verdict_table
from ablata.reports.view import ChangeView, MetricView, StudyView

GOLDEN = Path(__file__).with_name("example.md")


def test_the_example_is_written_as_it_was_agreed(example: StudyView) -> None:
    assert study_markdown(example) == GOLDEN.read_text(encoding="utf-8")


def test_names_cannot_break_out_of_the_table_or_of_markdown(example: StudyView) -> None:
    name = "a|b `c` <script>x</script>\n# [d](e)"
    arm = replace(example.arms[1], name=name, changes=(ChangeView(key=name, old=name, new=name),))
    table = verdict_table(replace(example, arms=(example.arms[0], arm)))
    assert len(table.splitlines()) == 4
    assert "<script>" not in table
    assert table.splitlines()[3].replace("\\|", "").count("|") == table.splitlines()[0].count("|")


def test_escaping_shows_words_as_they_are() -> None:
    assert escape("a_b*c") == r"a\_b\*c"
    assert escape("<&>") == "&lt;&amp;&gt;"


def test_a_fence_is_longer_than_any_in_a_command(example: StudyView) -> None:
    assert "\n````sh\necho ```\n````\n" in study_markdown(replace(example, commands=("echo ```",)))


def test_an_empty_study_is_a_document() -> None:
    empty = StudyView(name="new", question="", metric=MetricView(name="top1"), margin=0.5)
    assert study_markdown(empty).startswith("# new\n")
