import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from ablata.reports.console import plain_lines, show
from ablata.reports.figures import Figures
from ablata.reports.run_views import RunView
from ablata.reports.terminal import compare_report, forest_lines, runs_json, runs_table, study_report, verdict_table
from ablata.reports.view import (
    ArmView,
    ChangeView,
    CompareView,
    MetricView,
    ProgressView,
    ScorePair,
    StudyView,
    as_json,
)


def printed(renderable: object, width: int = 160, *, terminal: bool = True) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=terminal, color_system="standard" if terminal else None).print(
        renderable
    )
    return stream.getvalue()


def test_the_table_holds_the_views_numbers_and_every_verdict_with_its_sign(example: StudyView) -> None:
    lines = plain_lines(verdict_table(example, plain=True)).splitlines()
    figures = Figures.of(example, minus="-")
    signs = {"better": "+", "worse": "-", "equivalent": "=", "undecided": "?", "unstable": "!"}
    for arm in example.treatments:
        line = next(line for line in lines if line.startswith(arm.name))
        assert arm.effect is not None
        assert figures.number(arm.effect.value, sign=True) in line
        assert figures.span(arm.effect, sign=True) in line
        assert f"{signs[arm.verdict or '']} {arm.verdict}" in line


def test_plain_output_has_no_colour_codes_and_only_ascii(example: StudyView) -> None:
    text = plain_lines(study_report(example, plain=True))
    assert "\x1b" not in text
    assert text.isascii()


def test_no_terminal_means_plain_lines(example: StudyView) -> None:
    stream = io.StringIO()
    show(study_report(example), Console(file=stream, width=40, force_terminal=False))
    assert "\x1b" not in stream.getvalue()
    assert "[+0.70, +1.36]" in stream.getvalue()
    show(study_report(example), Console(file=stream, width=100, force_terminal=True, color_system="standard"))
    assert "\x1b" in stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_narrow_terminal_gets_fewer_columns_not_cut_ones(example: StudyView, width: int) -> None:
    text = printed(verdict_table(example), width)
    assert "…" not in text
    assert "unstable" in text
    assert ("memory" in text) == (width == 160)


def test_markup_and_terminal_codes_in_names_are_shown_as_text(example: StudyView) -> None:
    named = replace(example, arms=(example.arms[0], replace(example.arms[1], name="[red]x[/red]\x1b[31m")))
    text = printed(study_report(named))
    assert "[red]x[/red]\ufffd[31m" in text


def test_each_arm_has_a_line_in_the_forest_with_its_sign_inside_its_interval(example: StudyView) -> None:
    lines = forest_lines(example, 48, plain=True).plain.splitlines()
    assert len(lines) == len(example.treatments) + 1
    assert len({len(line) for line in lines[:-1]}) == 1
    better = lines[0]
    assert better.index("]") < better.index("+")
    assert "-+-" in better
    assert lines[1].index("-") < lines[1].index("[")


def test_progress_is_told_while_a_study_runs(example: StudyView) -> None:
    progress = ProgressView(done=9, planned=35, running=2, seconds_left=3900.0)
    running = replace(example, finished="", progress=progress)
    assert "9 of 35 runs done, 2 running, about 1 h 5 min left" in plain_lines(study_report(running))
    assert "left" not in plain_lines(study_report(example))


def test_empty_studies_and_studies_before_the_first_look_can_be_printed() -> None:
    empty = StudyView(name="new", question="", metric=MetricView(name="top1"), margin=0.5)
    assert "nothing to compare" in plain_lines(study_report(empty))
    started = replace(empty, arms=(ArmView(name="control", is_control=True), ArmView(name="a")))
    assert "not judged yet" in plain_lines(study_report(started))


RUNS = (
    RunView(id="aa11", seed=0, state="completed", recipe="digits", scores=(("val/top1", 97.25),), seconds=12.0),
    RunView(
        id="bb22",
        seed=1,
        state="diverged",
        recipe="digits",
        error="loss is not finite",
        scores=(("val/top1", float("nan")),),
    ),
)


def test_runs_are_listed_for_people_and_as_json() -> None:
    text = plain_lines(runs_table(RUNS, plain=True))
    assert "aa11  digits     0  completed" in text
    assert "val/top1 97.25" in text
    rows = json.loads(json.dumps(runs_json(RUNS), allow_nan=False))
    assert rows[0]["scores"] == {"val/top1": 97.25}
    assert rows[1]["scores"] == {"val/top1": None}


def test_two_runs_are_compared() -> None:
    view = CompareView(
        first=RUNS[0],
        second=RUNS[1],
        changes=(ChangeView(key="optim.lr", old="0.1", new="0.2"),),
        scores=(ScorePair(name="val/top1", first=97.25, second=98.0),),
        notes=("The seeds differ: 0 and 1.",),
    )
    text = plain_lines(compare_report(view, plain=True))
    assert all(part in text for part in ("optim.lr", "97.25", "+0.75", "The seeds differ"))
    assert "same" in plain_lines(compare_report(replace(view, changes=()), plain=True))


def test_a_view_is_json(example: StudyView) -> None:
    tree = json.loads(json.dumps(as_json(example), allow_nan=False))
    assert tree["arms"][1]["effect"]["value"] == example.arms[1].effect.value
    assert None in tree["curves"][0]["arms"][5]["series"][1]["y"]
