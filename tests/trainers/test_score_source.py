"""Scores read from what a program printed or wrote."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ablata.base.errors import RunError, SettingsError
from ablata.trainers.output_curves import points
from ablata.trainers.score_source import last_in_output, parse_score, read_score


def test_the_last_value_behind_a_name_counts_however_it_is_written(subtests: pytest.Subtests) -> None:
    texts = {
        "val_acc: 0.91": 0.91,
        "val_acc=0.91": 0.91,
        "val_acc = 91.5%": 91.5,
        "val_acc 0.91": 0.91,
        '{"epoch": 3, "val_acc": 0.91}': 0.91,
        "{'val_acc': 0.91, 'loss': 2}": 0.91,
        "epoch 1 val_acc: 0.5\nepoch 2 val_acc: 0.91 (best 0.95)": 0.91,
        "Val_Acc: 9.1e-1": 0.91,
        "val_acc: -0.25": -0.25,
        "epoch  loss  val_acc\n1  0.9  0.5\n2  0.7  0.91\n": 0.91,
        "| epoch | val_acc |\n|---|---|\n| 1 | 0.5 |\n| 2 | 0.91 |": 0.91,
        "val_acc: 0.1\nepoch,val_acc\n1,0.5\n2,0.91": 0.91,
        "epoch,val_acc\n1,0.5\ntest val_acc: 0.91": 0.91,
        "best_val_acc: 0.99\nval_acc: 0.91\nval_acc_ema: 0.98": 0.91,
        "\x1b[1mval_acc\x1b[0m: 0.3\nval_acc: 0.91": 0.91,
        "val_acc: 0.91, loss: 2": 0.91,
        "val_acc: 91.": 91,
    }
    for text, value in texts.items():
        with subtests.test(text=text):
            assert last_in_output("val_acc", text) == pytest.approx(value)
    for text in (
        "",
        "accuracy: 0.91",
        "best_val_acc: 0.9",
        "val_acc",
        "val_acc: none",
        "val_acc: v2",
        "val_acc: 91,35%",
        "val_acc: 92.35pp",
        "val_acc 1,234.5",
        "val_acc: 9912/10000 (99%)",
        "val_acc 12.3s",
    ):
        with subtests.test(text=text):
            assert last_in_output("val_acc", text) is None


def test_files_and_patterns_are_read_where_they_are_named(tmp_path: Path, subtests: pytest.Subtests) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"val": {"acc": 0.91}, "loss": 0.3}))
    (tmp_path / "l.jsonl").write_text('{"val": 0.5}\n{"val": 0.91}\n{"loss": 1}\n')
    (tmp_path / "m.csv").write_text("step,acc\n10,0.5\n20,0.95\n30,0.91\n40,\n")
    output = "final accuracy is 88.0\nfinal accuracy is 91.0\n"
    for text, value in {
        "r.json:val.acc": 0.91,
        "l.jsonl:val": 0.91,
        "m.csv:acc": 0.91,
        "m.csv:acc@max": 0.95,
        "m.csv:acc@min": 0.5,
        "m.csv:acc@step=20": 0.95,
        r"regex:accuracy is (\S+)": 91.0,
    }.items():
        with subtests.test(score=text):
            assert read_score(parse_score(text), output, [tmp_path / "empty", tmp_path]) == value


def test_a_tag_is_read_from_the_event_files_of_a_runs_folder(tmp_path: Path, subtests: pytest.Subtests) -> None:
    (written,) = Path(__file__).with_name("tools").joinpath("tensorboard", "wide", "seed1").iterdir()
    first, again, other = (tmp_path / name for name in ("logs/version_0", "logs/version_1", "split/validation"))
    for number, folder in enumerate((first, again, other)):
        folder.mkdir(parents=True)
        shutil.copyfile(written, folder / written.name)
        os.utime(folder / written.name, (number, number))
    for text, value in {
        "tensorboard:logs/version_1/val/acc": 0.7903,
        "tensorboard:split/validation/val/acc@max": 0.7903,
        "tensorboard:split/validation/val/acc@min": 0.6584,
        "tensorboard:split/validation/train/loss@step=1": 0.2212,
    }.items():
        with subtests.test(score=text):
            assert read_score(parse_score(text), "", [tmp_path]) == pytest.approx(value, abs=1e-4)
    for text, words in {
        "tensorboard:val/acc": "tensorboard:logs/version_1/val/acc, tensorboard:split/validation/val/acc",
        "tensorboard:val/accuracy": "they hold val/acc",
        "tensorboard:split/validation/val/acc@step=9": "step 9",
    }.items():
        with subtests.test(score=text), pytest.raises(RunError) as told:
            read_score(parse_score(text), "", [tmp_path])
        assert words in f"{told.value.must} {told.value.found} {told.value.do}", text
    shutil.rmtree(other)
    assert read_score(parse_score("tensorboard:val/acc"), "", [tmp_path]) == pytest.approx(0.7903, abs=1e-4)
    with pytest.raises(RunError, match="event files into its run's folder"):
        read_score(parse_score("tensorboard:val/acc"), "", [tmp_path / "split", tmp_path])
    assert parse_score("tensorboard:metrics/mAP@50").name == "metrics/mAP@50"


def test_what_is_no_source_of_a_score_is_refused_before_anything_runs(subtests: pytest.Subtests) -> None:
    for text in ("", "regex:(", "regex:acc", "/etc/x.json:a", "../x.json:a", "x.csv:a@best", "x.json:", "x.csv:"):
        with subtests.test(score=text), pytest.raises(SettingsError):
            parse_score(text)


def test_a_score_that_is_not_there_is_told_with_what_is(tmp_path: Path, subtests: pytest.Subtests) -> None:
    (tmp_path / "r.json").write_text('{"acc": 0.5}')
    (tmp_path / "m.csv").write_text("step,acc\n1,0.5\n")
    (tmp_path / "broken.json").write_text("{")
    for text, words in {
        "acc": "val_acc",
        "r.json:accuracy": "acc",
        "m.csv:accuracy": "acc",
        "m.csv:acc@step=7": "step 7",
        "no.json:acc": "no no.json in {run_dir}, which holds broken.json, r.json",
        "broken.json:acc": "JSON",
        r"regex:top1 (\S+)": "nothing matches",
        r"regex:(val)": "number",
        "val_loss": "finite",
        "top1": "no plain number in the line: top1: 9912/10000",
    }.items():
        with subtests.test(score=text), pytest.raises(RunError) as told:
            read_score(parse_score(text), "val_acc: 0.5\nval_loss: nan\ntop1: 9912/10000", [tmp_path])
        assert words in str(told.value), text


def test_lines_with_a_step_are_points_of_curves() -> None:
    lines = [
        "loading data: 5 files",
        "epoch 1: loss=0.9 acc=0.5 time=00:12",
        "Epoch [2/10], loss: 0.7, lr: 1e-3",
        '{"step": 30, "loss": 0.5, "note": "x", "bad": NaN}',
        "iter=40 loss=nan",
    ]
    assert points(lines) == [
        (1, "loss", 0.9),
        (1, "acc", 0.5),
        (2, "loss", 0.7),
        (2, "lr", 0.001),
        (30, "loss", 0.5),
    ]
