"""`ablata.judge` from Python: rows, data frames, logs of trials."""

from __future__ import annotations

from pathlib import Path

import pytest

import ablata
from ablata.api.judging import JudgedScores
from ablata.api.trial_logs import JudgedLog

LOG = [
    {"commit": commit, "acc": acc, "status": status, "description": words}
    for commit, acc, status, words in (
        ("a", 90.0, "keep", "baseline"),
        ("a", 90.3, "keep", "baseline"),
        ("a", 90.1, "keep", "baseline"),
        ("b", 95.0, "keep", "wider"),
        ("c", 95.1, "keep", "wider"),
        ("d", 80.0, "discard", "narrow"),
    )
]
ARMS = [
    {"arm": arm, "seed": seed, "acc": level + 0.1 * (seed * 7 % 5) + 0.02 * seed * (arm == "wide")}
    for arm, level in (("base", 90.0), ("wide", 93.0))
    for seed in range(5)
]


def test_rows_are_judged_as_arms_or_as_a_log_by_what_they_hold(tmp_path: Path) -> None:
    arms = ablata.judge(ARMS, margin=0.5)
    assert isinstance(arms, JudgedScores)
    assert arms.verdicts == {"wide": "better"}
    log = ablata.judge(LOG)
    assert isinstance(log, JudgedLog)
    assert log.verdicts == {"wider (row 4)": "beyond chance", "wider (row 5)": "hidden by noise"}
    for judged in (arms, log):
        assert judged.to_rows() == list(judged.rows)
        assert "<table" in judged._repr_html_()
        assert "beyond chance" in repr(judged) or "is better" in repr(judged)
        assert judged.report(tmp_path / "page.html").stat().st_size > 5000
    assert ablata.judge(LOG, noise=5.0).verdicts["wider (row 4)"] == "hidden by noise"


def test_a_data_frame_is_judged_as_its_rows(subtests: pytest.Subtests) -> None:
    pandas = pytest.importorskip("pandas")
    for rows in (ARMS, LOG):
        with subtests.test(rows=rows[0]):
            assert ablata.judge(pandas.DataFrame(rows)).verdicts == ablata.judge(rows).verdicts


def test_scores_from_python_are_kept_too(tmp_path: Path) -> None:
    with ablata.Ledger(home=tmp_path / "home") as ledger:
        kept = ablata.judge(ARMS, keep=True, ledger=ledger)
        assert [row.name for row in ledger.studies.all()] == [kept.view.name]
        assert ablata.judge(ARMS, keep=True, ledger=ledger).view.name == kept.view.name
        assert ablata.study(kept.view.name, ledger=ledger).verdicts == {"wide": "better"}
    with pytest.raises(ablata.errors.SettingsError, match="Only arms are kept"):
        ablata.judge(LOG, keep=True)
