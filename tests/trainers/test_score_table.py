"""Tables of runs: which column is what, in every form a table is written in, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.trainers.reading import read_given

ROWS = [("base", 0, 90.5), ("base", 1, 90.25), ("wide", 0, 91.5), ("wide", 1, 91.75)]


def _text(names: tuple[str, ...], mark: str = ",") -> str:
    return "\n".join([mark.join(names), *(mark.join(map(str, row)) for row in ROWS)]) + "\n"


def test_every_form_of_a_table_gives_the_same_runs(tmp_path: Path, subtests: pytest.Subtests) -> None:
    names = ("arm", "seed", "acc")
    objects = [dict(zip(names, row, strict=True)) for row in ROWS]
    forms: dict[str, bytes] = {
        "comma.csv": _text(names).encode(),
        "bom.csv": _text(names).encode("utf-8-sig"),
        "utf16.csv": _text(names).encode("utf-16"),
        "semicolon.csv": _text(names, ";").encode(),
        "spaces.csv": _text(names, " , ").encode(),
        "tab.tsv": _text(names, "\t").encode(),
        "crlf.csv": _text(names).replace("\n", "\r\n").encode(),
        "list.json": json.dumps(objects).encode(),
        "columns.json": json.dumps({name: [row[name] for row in objects] for name in names}).encode(),
        "lines.jsonl": "\n".join(map(json.dumps, objects)).encode(),
        "percent.csv": _text(names).replace(".5", ".5%").replace(".25", ".25 %").encode(),
    }
    for name, content in forms.items():
        with subtests.test(form=name):
            (tmp_path / name).write_bytes(content)
            given = read_given(tmp_path / name)
            assert [(run.arm, run.seed, run.scores[given.score]) for run in given.runs] == ROWS
            assert given.score == "acc"
            assert given.arms == ("base", "wide")


def test_columns_are_guessed_by_their_usual_names_and_the_guess_is_told(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    tables = {
        ("variant", "random_seed", "top1"): ("arms are read from the column variant", "random_seed"),
        ("Method", "Seed", "Score"): ("arms are read from the column Method", "Seed"),
        ("backbone", "seed", "mIoU"): ("arms are read from the column backbone", "seed"),
    }
    for names, (arms, seeds) in tables.items():
        with subtests.test(names=names):
            path = tmp_path / "t.csv"
            path.write_text(_text(names))
            given = read_given(path)
            assert arms in given.notes
            assert f"seeds are read from the column {seeds}" in given.notes
            assert given.score == names[2]
            assert [run.seed for run in given.runs] == [0, 1, 0, 1]


def test_without_a_column_of_seeds_they_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,loss\na,1\nb,2\n")
    assert [run.seed for run in read_given(path).runs] == [None, None]


def test_a_table_that_cannot_be_read_is_refused_in_words(tmp_path: Path, subtests: pytest.Subtests) -> None:
    cases = {
        "": "a line of names",
        "arm,acc\n": "rows below",
        "arm,acc,acc\na,1,2\n": "different names",
        "arm,acc\na,1,2\n": "no more cells",
        "arm,acc\na,\n": "must have a score|number in the column|which score",
        "arm,acc\na,1\nb,nan\n": "number in the column acc",
        "arm,seed,acc\na,x,1\n": "whole number",
        "arm,seed,acc\na,0.5,1\n": "whole number",
        "arm,acc\na,2\n,1\n": "say its arm",
        "x,y\n1,2\n": "names the arm",
        "arm,acc,f1\na,1,2\n": "which score",
        "\0\0\0": "zero bytes",
    }
    for text, words in cases.items():
        with subtests.test(text=text):
            path = tmp_path / "t.csv"
            path.write_text(text)
            with pytest.raises(DataError, match=words):
                read_given(path)
    for name, content in {"a.json": "[1, 2]", "b.json": "{", "c.jsonl": '{"a": 1}\n[2]\n'}.items():
        with subtests.test(name=name):
            (tmp_path / name).write_text(content)
            with pytest.raises(DataError, match=r"JSON|object"):
                read_given(tmp_path / name)
    (tmp_path / "d.csv").write_bytes(b"\xff\xd8\xff\xe0 a photograph")
    with pytest.raises(DataError, match="UTF-8"):
        read_given(tmp_path / "d.csv")


def test_a_named_column_must_be_there_and_the_nearest_is_proposed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(_text(("arm", "seed", "accuracy")))
    for option in ({"score": "acuracy"}, {"arm_from": "amr"}, {"seed_from": "sed"}):
        with pytest.raises(DataError) as told:
            read_given(path, **option)
        assert any(name in str(told.value) for name in ("accuracy", "arm", "seed"))
    assert read_given(path, score="acc").score == "accuracy"


def test_a_table_with_a_line_an_epoch_counts_each_run_once(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [
        f"{run},{epoch},{level + epoch}"
        for run, level in (("base_s1", 1), ("base_s2", 2), ("wide_s1", 3))
        for epoch in (1, 2)
    ]
    path.write_text("run,epoch,accuracy\n" + "\n".join(lines))
    given = read_given(path, score="accuracy")
    assert [(run.arm, run.seed, run.scores["accuracy"]) for run in given.runs] == [
        ("base", 1, 3.0),
        ("base", 2, 4.0),
        ("wide", 1, 5.0),
    ]
    assert {
        "seeds are read from the arms' names",
        "the table has a line for each epoch: of each run the last value counts",
    } <= set(given.notes)
    path.write_text("arm,epoch,acc\na,1,1\na,2,2\na,1,3\na,2,4\n")
    with pytest.raises(DataError, match="told apart by their seeds"):
        read_given(path, score="acc")


def test_decimal_commas_repeated_rows_and_names_in_another_case_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("arm;seed;acc\nbase;0;90,5\nbase;0;90,5\nWide;0;91,25%\nwide;1;91\n")
    given = read_given(path)
    assert [run.scores["acc"] for run in given.runs] == [90.5, 91.25, 91.0]
    assert any("repeats row 1 and is counted once" in note for note in given.notes)
    assert any("Wide and wide are two arms" in note for note in given.notes)


def test_the_example_of_a_score_is_one_of_quality_on_held_out_data(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for names in (
        "lr,epochs,val_acc,time_s",
        "train_loss,acc,eval_loss,val_acc",
        "grad_norm,learning_rate,val_acc,loss",
    ):
        path.write_text(f"arm,{names}\na,0.1,3,90,5\n")
        with pytest.raises(DataError, match="for example --score val_acc"):
            read_given(path)


def test_indexes_markdown_and_columns_of_spaces_are_read(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for text in (
        ",arm,seed,acc\n0,a,1,90.5\n1,b,1,91.5\n",
        "Unnamed: 0,arm,seed,acc\n0,a,1,90.5\n1,b,1,91.5\n",
        "| arm | seed | acc |\n|---|:-:|--:|\n| a | 1 | 90.5 |\n| b | 1 | 91.5 |\n",
        "arm  seed  acc\na    1     90.5\nb    1     91.5\n",
    ):
        with subtests.test(text=text):
            (tmp_path / "t.csv").write_text(text)
            given = read_given(tmp_path / "t.csv")
            assert [(run.arm, run.seed, run.scores["acc"]) for run in given.runs] == [("a", 1, 90.5), ("b", 1, 91.5)]


def test_numbers_that_may_mean_two_things_or_are_none_are_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for text, words in (
        ("arm\tsteps\na\t90,520\nb\t91,100\n", "may be 90.520 or 90520"),
        ("arm;steps\na;998\nb;1,002\n", "may be 1.002 or 1002"),
        ("arm,acc\na,90.1 ms\nb,90.2 ms\n", "'90.1 ms'"),
        ("arm,acc\na,0.9\nb,91%\n", "row 1: 0.9 and row 2: 91%"),
    ):
        (tmp_path / "t.csv").write_text(text)
        with subtests.test(text=text), pytest.raises(DataError, match=re.escape(words)):
            read_given(tmp_path / "t.csv")
    (tmp_path / "t.csv.gz").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(DataError, match="a gzip file"):
        read_given(tmp_path / "t.csv.gz")


def test_a_score_twice_in_an_object_of_json_is_refused_by_file_and_key(tmp_path: Path) -> None:
    once, twice = '{"arm": "base", "seed": 0, "acc": 1}', '{"arm": "base", "seed": 1, "acc": 1, "acc": 2}'
    for name, text, told in (("a.json", f"[{twice}]", "a.json"), ("a.jsonl", f"{once}\n{twice}", "line 2")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=f"{told}: an object holds the key 'acc' twice"):
            read_given(tmp_path / name)
