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


def test_an_arm_that_changes_much_is_told_in_short_and_whole_below(example: StudyView) -> None:
    changes = tuple(ChangeView(key=f"model.part{place}", old="null", new="x" * 60) for place in range(6))
    document = study_markdown(replace(example, arms=(example.arms[0], replace(example.arms[1], changes=changes))))
    row = next(line for line in document.splitlines() if line.startswith(f"| {escape(example.arms[1].name)} "))
    assert "and 3 more, below" in row
    assert "x" * 28 not in row
    assert "; ".join(f"model.part{place}: null → {'x' * 60}" for place in range(6)) in document
    assert "All that these arms change" not in study_markdown(example)
