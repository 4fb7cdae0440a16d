"""`ablata replicate` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ablata = Callable[..., Any]


def test_every_trial_of_every_notebook_can_be_run(ablata: Ablata) -> None:
    listed = json.loads(ablata("replicate", "list", "--json").out)
    assert "label_refinery" in listed
    assert not [reason for studies in listed.values() for study in studies for reason in study["refused"]]
    assert "181 trials, 181 can be run" in ablata("replicate", "list").out


def test_a_study_is_shown_with_lines_settings_and_conclusions(ablata: Ablata) -> None:
    shown = ablata("replicate", "show", "label_refinery", "--study", "warmup").out
    assert "schedule.warmup.length=5" in shown
    assert "87.75 (-0.21)  5 epochs  [line 75]" in shown
    assert "concluded (line 77)" in shown


def test_a_study_is_built_and_stepped_on_generated_pictures(ablata: Ablata) -> None:
    answer = ablata("replicate", "run", "label_refinery", "--study", "order", "--scale", "smoke")
    assert (answer.status, answer.out) == (0, "order: 2 of 2 trials built and stepped\n"), answer.err


def test_wrong_names_are_refused_with_those_there_are(ablata: Ablata) -> None:
    for words, told in (
        (("show", "nothing"), "label_refinery"),
        (("show", "label_refinery", "--study", "nothing"), "warmup"),
        (("run", "label_refinery", "--scale", "huge"), "smoke, small, full"),
    ):
        answer = ablata("replicate", *words)
        assert answer.status == 2
        assert told in answer.err


def test_the_report_is_one_page(ablata: Ablata, tmp_path: Path) -> None:
    assert ablata("replicate", "report", "--output", str(tmp_path / "r.html")).status == 0
    page = (tmp_path / "r.html").read_text()
    assert "could be concluded" in page
    assert "http" not in page.replace("http://www.w3.org", "")
