"""Logs of trials as loops and agents write them: scores, what was kept, which runs are of equal code."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.trainers.readers.tables import read_table
from ablata.trainers.trial_log import TrialLog, is_trial_log, read_trial_log

AGENT = """commit\tval_bpb\tmemory_gb\tstatus\tdescription
a1b2c3d\t0.997900\t44.0\tkeep\tbaseline
b2c3d4e\t0.993200\t44.2\tkeep\tincrease LR to 0.04
c3d4e5f\t1.005000\t44.0\tdiscard\tswitch to GeLU activation
d4e5f60\t0.000000\t0.0\tcrash\tdouble model width (OOM)
0718293\t0.991000\t44.2\tkeep\tincrease LR to 0.08
"""


def _read(folder: Path, text: str, name: str = "results.tsv", **options: str | bool) -> TrialLog:
    (folder / name).write_text(text)
    return read_trial_log(read_table(folder / name), name, **options)  # type: ignore[arg-type]


def _codes(log: TrialLog) -> list[int]:
    """Codes as the numbers of the rows that brought them."""
    return [trial.code + 1 for trial in log.trials]


def test_an_agents_log_is_read_without_a_word_from_the_user(tmp_path: Path) -> None:
    log = _read(tmp_path, AGENT)
    assert is_trial_log(read_table(tmp_path / "results.tsv"))
    assert (log.score, log.higher_is_better) == ("val_bpb", False)
    assert [trial.score for trial in log.trials] == [0.9979, 0.9932, 1.005, None, 0.991]
    assert [trial.status for trial in log.trials] == ["keep", "keep", "discard", "crash", "keep"]
    assert _codes(log) == [1, 2, 3, 4, 5]
    assert any("lower val_bpb is better" in note for note in log.notes)
    assert not _read(tmp_path, AGENT, lower=True).higher_is_better
    assert _read(tmp_path, AGENT, lower=False).higher_is_better


def test_repeats_are_rows_of_one_commit_or_say_so(tmp_path: Path, subtests: pytest.Subtests) -> None:
    cases = {
        "a\t.9\tkeep\tbaseline\na\t.8\tkeep\tbaseline\n": [1, 1],
        "a\t.9\tkeep\tbaseline\nb\t.8\tkeep\tbaseline again\n": [1, 1],
        "a\t.9\tkeep\tbaseline\nb\t.8\tkeep\tRe-run of the baseline\n": [1, 1],
        "a\t.9\tkeep\tbaseline, seed 1\nb\t.8\tkeep\tbaseline, seed 2\n": [1, 1],
        "a\t.9\tkeep\tbaseline\nb\t.8\tkeep\tlr 4\nc\t.7\tdiscard\tlr 8\nd\t.8\tdiscard\tlr 8 again\n": [1, 2, 3, 3],
        "a\t.9\tkeep\tbaseline\nb\t.8\tkeep\tmore data\nc\t.7\tkeep\tmore data\n": [1, 2, 3],
        "a\t.9\tkeep\tbaseline\nb\t.7\tdiscard\tlr 4\nc\t.6\tdiscard\tlr 4\n": [1, 2, 2],
        "a\t.9\tkeep\tbaseline\nb\t.95\tdiscard\tlr 4\nc\t.6\tkeep\tlr 4\n": [1, 2, 3],
        "\t.9\tkeep\tbaseline\n\t.8\tkeep\tbaseline\n\t.7\tkeep\twide\n": [1, 1, 3],
        "\t.9\tkeep\t\n\t.8\tkeep\t\n": [1, 2],
    }
    for rows, codes in cases.items():
        with subtests.test(rows=rows):
            assert _codes(_read(tmp_path, "commit\tval_bpb\tstatus\tdescription\n" + rows, lower=True)) == codes


def test_repeats_of_what_was_kept_say_nothing_of_the_direction(tmp_path: Path) -> None:
    rows = "a\t88.9\tkeep\tbaseline\na\t88.4\tkeep\tbaseline again\na\t88\tkeep\tbaseline again\nb\t90\tdiscard\twide\n"
    assert _read(tmp_path, "commit\tval_acc\tstatus\tdescription\n" + rows).higher_is_better


def test_other_columns_and_words_are_known(tmp_path: Path) -> None:
    log = _read(tmp_path, "step,change,acc,seconds,decision\n1,base,71.5,10,accepted\n2,wide,72,12,Reverted\n", "l.csv",
                lower=False)  # fmt: skip
    assert (log.score, [trial.status for trial in log.trials]) == ("acc", ["keep", "discard"])
    assert [trial.words for trial in log.trials] == ["base", "wide"]


def test_a_table_of_arms_is_no_log_unless_it_has_to_be(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("change,acc\nbase,90\nwide,91\nlong,89\ndeep,92\n")
    rows = read_table(tmp_path / "t.csv")
    assert not is_trial_log(rows)
    log = read_trial_log(rows, "t.csv")
    assert [trial.status for trial in log.trials] == ["keep", "keep", "discard", "keep"]
    for status in ("finished,finished", "keep,maybe", "discard,crash", "running,keep"):
        first, second = status.split(",")
        assert not is_trial_log([{"status": first, "acc": "1"}, {"status": second, "acc": "2"}])


def test_what_cannot_be_told_is_asked_for(tmp_path: Path, subtests: pytest.Subtests) -> None:
    head = "description\tstatus\t"
    cases = {
        head + "acc\tf1\nbase\tkeep\t1\t2\n": "which column of the log is the score",
        head + "memory_gb\nbase\tkeep\t1\n": "which column of the log is the score",
        head + "val_loss\nbase\tkeep\t1\n": "which scores are better",
        head + "acc\nbase\tkeep\tnan\nwide\tcrash\t1\n": "a run with a score",
    }
    for text, words in cases.items():
        with subtests.test(words=words), pytest.raises(DataError, match=words):
            _read(tmp_path, text)
    with pytest.raises(DataError, match="one of"):
        _read(tmp_path, AGENT, score="accuracy")


def test_a_word_that_is_not_known_costs_its_row_and_not_the_column(tmp_path: Path) -> None:
    log = _read(tmp_path, AGENT.replace("discard", "maybe"), lower=True)
    assert [trial.status for trial in log.trials] == ["keep", "keep", "discard", "crash", "keep"]
    assert any("row 3: status maybe is none of keep, discard and crash" in note for note in log.notes)


def test_runs_of_arms_that_ended_with_success_are_no_log() -> None:
    rows = [{"arm": arm, "seed": "0", "acc": "1", "status": word} for arm, word in (("a", "success"), ("b", "failed"))]
    assert not is_trial_log(rows)
    assert is_trial_log([row | {"status": "kept"} for row in rows])
