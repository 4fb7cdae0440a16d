"""A study of the control against itself: one command, its runs, and what they say of the noise."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.base.errors import SettingsError
from ablata.records import Ledger
from ablata.records.moving.exporting import export_study
from ablata.records.moving.importing import import_study
from ablata.reports.collect import study_view
from ablata.reports.html import study_page
from ablata.reports.markdown import study_markdown
from ablata.studies.asking.naming import against_itself
from ablata.studies.assess import assess
from ablata.studies.identity import new_run, record_environment
from ablata.studies.imported import check_study
from ablata.studies.launch import create
from ablata.studies.study import Study

End = Callable[..., None]


def ended(ledger: Ledger, study: Study, end: End, scores: list[float]) -> None:
    create(ledger, study)
    environment = record_environment(ledger)
    for row, score in enumerate(scores):
        new = new_run(ledger, study.recipes["control"], study.seed_row(row), environment)
        end(ledger.studies.enqueue(study.name, "control", new), score)


def test_the_control_alone_is_tested_and_told(ledger: Ledger, make_study: Callable[..., Study], end_run: End) -> None:
    study = against_itself(make_study(seeds=8))
    assert (study.name, study.spec()["aa"], list(study.recipes)) == ("asked-aa", True, ["control"])
    ended(ledger, study, end_run, [90.0, 90.6, 91.0, 91.4, 92.0, 92.2, 92.8, 93.4])
    judged = assess(ledger, study.name)
    assert (judged.rows, judged.replay) == (8, None)
    view = study_view(ledger, study.name)
    assert view.aa is not None
    assert view.aa.moves
    for told in (study_page(view), study_markdown(view)):
        assert "The noise is not what the rule takes it for" in told
        assert "rises with the order of the runs" in told


def test_arms_and_few_runs_are_refused(make_study: Callable[..., Study]) -> None:
    with pytest.raises(SettingsError, match="has no arms"):
        make_study(aa=True)
    with pytest.raises(SettingsError, match="at least 6 runs"):
        make_study(aa=True, arms={}, seeds=5, margin=None)


def test_the_command_line_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ablata.cli.main import main

    (tmp_path / "t.py").write_text("print('acc:', 80)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    asked: list[Any] = ["study", "run", "--command", f"{sys.executable} t.py {{seed}}", "--score", "acc", "--aa"]
    for extra, code, words in (
        (["--seeds", "6"], 0, "The score does not vary: all 6 runs have the same"),
        (["--arm", "a:b=1"], 2, "takes only a number of runs"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*asked, *extra])
        said = capfd.readouterr()
        assert (end.value.code or 0) == code, said.err
        assert words in said.out + said.err
    with Ledger() as ledger, Ledger(home=tmp_path / "other") as other:
        (study,) = ledger.studies.all()
        export_study(ledger, study.name, tmp_path / "aa.ablata")
        import_study(other, tmp_path / "aa.ablata", check_study)
        assert study_markdown(study_view(other, study.name)) == study_markdown(study_view(ledger, study.name))
