from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablata.base.errors import DataError
from ablata.notebooks.reader import NotesReading, read_file, read_text
from ablata.notebooks.reader.model import KINDS, scores_by_name


def trials(text: str) -> list[tuple[str, dict[str, object], str | None]]:
    """Return label, scores and claim of each trial of a text."""
    return [(trial.label, scores_by_name(trial.scores), trial.claim) for trial in read_text(text).trials]


def kinds(text: str) -> list[str]:
    return [line.kind for line in read_text(text).lines]


def test_one_line_is_one_trial(subtests: pytest.Subtests) -> None:
    for line, expected in [
        ("去掉数据增强: 71.25", ("去掉数据增强", {"score": 71.25}, None)),
        ("1. 换成大核: 70.1/90.2", ("换成大核", {"top1": 70.1, "top5": 90.2}, None)),
        (
            "swish: 70.1/90.2/71.3/90.9",
            ("swish", {"top1": 70.1, "top5": 90.2, "ema_top1": 71.3, "ema_top5": 90.9}, None),
        ),
        ("* 3000次: 40.5, 42.25, 43.0 - 提高不少", ("3000次", {"series": [40.5, 42.25, 43.0]}, "better")),
        ("rounds: 90.5/90.25/90.0", ("rounds", {"parts": [90.5, 90.25, 90.0]}, None)),
        ("----| mAP50:21.5 mAP1:35.25 64box", ("64box", {"mAP50": 21.5, "mAP1": 35.25}, None)),
        ("base 0.01 41.5% 0.5 26.25%", ("base", {"0.01": 41.5, "0.5": 26.25}, None)),
        ("no pool: 80.5(dyna:81.25)", ("no pool", {"score": 80.5, "dyna": 81.25}, None)),
        ("dice loss      0.8125   效果不好", ("dice loss", {"score": 0.8125}, "worse")),
        ("fp16: loss nan", ("fp16", {}, "failed")),
        ("big lr: diverged after 2 epochs", ("big lr", {}, "failed")),
        ("v2: 153s", ("v2", {"time": 153.0}, None)),
        ("mem=6600m, time=2min: 70.5/90.5", ("", {"top1": 70.5, "top5": 90.5, "mem": 6600.0, "time": 120.0}, None)),
    ]:
        with subtests.test(line=line, expected=expected):
            assert trials(line) == [expected]


def test_figures_below_a_line_are_those_of_that_line() -> None:
    assert trials("第一层换成5x5\n50.5, 52.25\n\nbaseline:\n    61.5\n    62.5\n") == [
        ("第一层换成5x5", {"series": [50.5, 52.25]}, None),
        ("baseline", {"score": 61.5}, None),
        ("baseline", {"score": 62.5}, None),
    ]


def test_figures_of_other_names_complete_a_trial() -> None:
    text = "start\nloss:0.75\nacc_cls:0.944\nloss_cls: 0.19 loss_box:0.10\nloss:0.5\n"
    assert [scores for _, scores, _ in trials(text)] == [
        {"loss": 0.75, "acc_cls": 0.944, "loss_cls": 0.19, "loss_box": 0.1},
        {"loss": 0.5},
    ]


def test_figures_by_class_are_kept_by_class() -> None:
    (trial,) = read_text("ce\n--- 0.5125\n[base.py, 49] Class IOU: {0: 0.5, 1: nan, 2: 0.75}\n").trials
    assert [score.form for score in trial.scores] == ["single", "classes"]
    assert trial.scores[1].classes == ("0", "1", "2")
    assert (trial.first, trial.last) == (1, 3)


def test_what_is_named_without_a_result_is_a_plan() -> None:
    text = "mixup: 70.5\ncutmix:\nema: --.--\n\n试试focal loss:\n\n- [ ] bf16\n- [x] fp16\nlamb: discard\n"
    reading = read_text(text)
    plans = {line.label: line.state for line in reading.lines if line.kind == "plan"}
    assert plans == {
        "cutmix": None,
        "ema": None,
        "试试focal loss": None,
        "bf16": None,
        "fp16": "done",
        "lamb": "discarded",
    }
    assert len(reading.plans) == 4


def test_titles_rules_and_indents_give_sections() -> None:
    text = "# Loss\nmixup:\n    alpha=0.2: 70.5\n    alpha=0.4: 71.5\n=====\nplain: 60.5\n"
    assert [trial.section for trial in read_text(text).trials] == [("Loss", "mixup"), ("Loss", "mixup"), ()]


def test_a_remark_below_a_trial_of_its_own_title_is_that_trials() -> None:
    first, second = read_text("加上bn: \n    71.5\n    确实高了不少\n\na: 70.1\nb: 70.2\n都差不多\n").trials[:2]
    assert (first.claim, first.remark) == ("better", "确实高了不少")
    assert second.claim is None


def test_settings_above_hold_for_the_trials_below_and_own_ones_win() -> None:
    reading = read_text("lr=1e-2, wd=1e-4, bs=64\nfirst: 80.5\nlr=1e-1: 81.5\n\nother: 82.5\n")
    held = [{one.name: one.value for one in trial.settings} for trial in reading.trials]
    assert held == [
        {"lr": 0.01, "weight_decay": 0.0001, "batch": 64},
        {"lr": 0.1, "weight_decay": 0.0001, "batch": 64},
        {},
    ]


def test_a_bare_value_below_a_key_sets_that_key() -> None:
    reading = read_text("eta:\n    1e-5: 92.25\n    5e-4: 92.5\n")
    assert [trial.settings[0].value for trial in reading.trials] == [1e-5, 5e-4]
    assert {trial.settings[0].name for trial in reading.trials} == {"floor"}


def test_code_configuration_paths_and_addresses_are_no_trials() -> None:
    text = """import torch
x = model(y)[0.5]
https://example.org/71.5
results/run_1/model.pth
├── train
$ python train.py --lr 0.1
  "crop_size": [520, 520],
    --drop_last y \\
RuntimeError: CUDA out of memory, 71.5 MiB
"""
    reading = read_text(text)
    assert not reading.trials
    assert [line.kind for line in reading.lines][6:8] == ["setting", "setting"]
    assert reading.lines[8].claim == "failed"


def test_tables_are_read_row_by_row() -> None:
    text = "| run | top1 | lr | note |\n|---|---|---|---|\n| a | 70.5 | 0.1 | |\n| b | 71.5 | 0.2 | better |\n"
    assert trials(text) == [("a", {"top1": 70.5}, None), ("b", {"top1": 71.5}, "better")]
    assert [trial.settings[0].value for trial in read_text(text).trials] == [0.1, 0.2]
    assert trials("name\tmIoU\nbase\t71.25\nohem\t72.5\n") == [
        ("base", {"mIoU": 71.25}, None),
        ("ohem", {"mIoU": 72.5}, None),
    ]


def test_progress_of_a_tools_log_folds_into_one_trial() -> None:
    stamp = "2023-05-01 10:0{}:00,123 - mmseg - INFO - "
    log = "".join(
        f"{stamp.format(i)}Iter [{50 * i}/800]\tlr: 1e-02, time: 0.47, loss: {3 - i / 4:.4f}\n" for i in range(1, 9)
    )
    (trial,) = read_text(log).trials
    assert (trial.first, trial.last, trial.steps, trial.label) == (1, 8, 8, "Iter [400/800]")
    assert scores_by_name(trial.scores) == {"time": 0.47, "loss": 1.0}
    (row,) = read_text("epoch,val_loss,acc\n0,2.5,10.5\n1,1.5,33.5\n2,0.5,52.5\n").trials
    assert scores_by_name(row.scores) == {"val_loss": 0.5, "acc": 52.5}


def test_hand_written_steps_are_kept_apart() -> None:
    assert len(trials("epoch 30: 70.5\nepoch 60: 71.5\n")) == 2


def test_a_logger_s_running_mean_is_the_figure() -> None:
    assert trials("Test: [ 48/48]  Acc@1: 70.5 ( 76.25)  Acc@5: 90.5 ( 92.75)")[0][1] == {
        "Acc@1": 76.25,
        "Acc@5": 92.75,
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=60), min_size=1, max_size=12))
def test_any_text_is_read_line_by_line_and_none_is_lost(lines: list[str]) -> None:
    text = "\n".join(line.replace("\n", " ").replace("\r", " ") for line in lines)
    if not text.strip():
        return
    try:
        reading = read_text(text)
    except DataError:
        return
    assert reading.text == text.removesuffix("\n")
    assert all(line.kind in KINDS for line in reading.lines)
    assert all(1 <= trial.first <= trial.last <= len(reading.lines) for trial in reading.trials)


pieces = st.sampled_from(
    [
        "lr=1e-2",
        " 71.25",
        "71.5/90.25",
        ":",
        "：",
        "- ",
        "* ",
        "1. ",
        "====",
        "{",
        "[",
        "mIoU",
        "loss",
        "试试",
        "nan",
        "|",
        "\t",
        ",",
    ]
)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.lists(pieces, max_size=8).map("".join), min_size=1, max_size=10))
def test_pieces_of_notes_in_any_order_are_read(lines: list[str]) -> None:
    text = "\n".join(["start", *lines])
    reading = read_text(text)
    assert sum(reading.counts.values()) == len(reading.lines)
    for line in reading.lines:
        assert (line.trial is not None) <= (line.kind == "trial")


def read_bytes(folder: Path, content: bytes) -> NotesReading:
    path = folder / "notes.txt"
    path.write_bytes(content)
    return read_file(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_encodings_give_the_same_trials(tmp_path: Path, encoding: str) -> None:
    text = "学习率减小，效果更好: 71.25\r\n加上正则化: 70.5\r\n"
    reading = read_bytes(tmp_path, text.encode(encoding))
    assert reading.encoding == encoding
    assert [trial.label for trial in reading.trials] == ["学习率减小，效果更好", "加上正则化"]


def test_latin_text_is_not_taken_for_chinese(tmp_path: Path) -> None:
    reading = read_bytes(tmp_path, "größere Rate: 71.25\nCafé: 70.5".encode("latin-1"))
    assert (reading.encoding, reading.trials[0].label) == ("latin-1", "größere Rate")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b" \n\t\n", "is empty"), (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is binary"),
     (bytes(range(256)) * 40, "is binary")],
)  # fmt: skip
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_bytes(tmp_path, content)


def test_absent_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(DataError, match="must be readable"):
            read_file(path)


def test_several_processes_read_what_one_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablata.notebooks.reader.reading._MANY", 20)
    log = "".join(f"Iter [{step}/90]  loss: {3 / step:.4f}, acc: {step / 90:.4f}\n" for step in range(1, 20))
    path = tmp_path / "notes.txt"
    path.write_text("".join(f"{one}. lr={one}e-3 +ra: 7{one}.5/9{one}.1 better\n" for one in range(1, 60)) + log)
    assert read_file(path, processes=2) == read_file(path)


@pytest.mark.slow
def test_ten_megabytes_are_read_in_time_that_grows_with_their_length() -> None:
    line = "2023-05-01 10:00:00,123 - mmseg - INFO - Iter [{0}/160000]\tlr: 1e-02, loss: {1:.4f}, acc_seg: {2:.4f}\n"
    small = "".join(line.format(50 * i, 3 / (i + 1), i / 1000) for i in range(1000))
    large = "".join(line.format(50 * i, 3 / (i + 1), i / 1000) for i in range(90_000))
    start = time.process_time()
    read_text(small)
    between = time.process_time()
    reading = read_text(large)
    assert len(reading.trials) == 1
    assert time.process_time() - between < 40 * 90 * max(between - start, 0.01)


TABLE = """encoder | size | augmentation | mIoU | acc | note
resnet18 | 512 | flip | 71.2 | 93.1 |
resnet34 | 768 | flip, color | 72.9 | 93.4 | helps
resnet50 | 768 | flip | OOM | |
"""


def test_columns_of_a_table_are_settings_scores_or_remarks_with_or_without_bars_around_it(
    subtests: pytest.Subtests,
) -> None:
    bars = "".join(f"| {line} |\n" for line in TABLE.splitlines())
    rule = "--- | --- | --- | ---: | :-- | ---"

    def ruled(text: str, rule: str) -> str:
        head, _, rest = text.partition("\n")
        return f"{head}\n{rule}\n{rest}"

    for text in (TABLE, bars, ruled(TABLE, rule), ruled(bars, f"|{rule}|")):
        with subtests.test(text=text):
            found = read_text(text).trials
            assert [dict(trial.settings) for trial in found[:2]] == [
                {"encoder": "resnet18", "size": 512, "augmentation": "flip", "flip": True, "model": "resnet18"},
                {"encoder": "resnet34", "size": 768, "augmentation": "flip, color", "flip": True, "model": "resnet34"},
            ]
            assert [scores_by_name(trial.scores) for trial in found] == [
                {"mIoU": 71.2, "acc": 93.1},
                {"mIoU": 72.9, "acc": 93.4},
                {},
            ]
            assert [trial.claim for trial in found] == [None, "better", "failed"]
            assert not any("512" in line.label for line in read_text(text).lines if line.kind == "heading")


def test_a_table_without_a_line_of_names_has_its_first_row_read_as_the_others() -> None:
    found = read_text("| resnet18 | 512 | 71.2 |\n| resnet34 | 512 | 72.9 |\n").trials
    assert [(trial.label, scores_by_name(trial.scores)) for trial in found] == [
        ("resnet18, 512", {"score": 71.2}),
        ("resnet34, 512", {"score": 72.9}),
    ]
    crossed = read_text("| lr \\ size | 256 | 512 |\n|---|---|---|\n| 0.1 | 70.1 | 72.2 |\n").trials
    assert [(dict(trial.settings), scores_by_name(trial.scores)) for trial in crossed] == [
        ({"lr": 0.1}, {"256": 70.1, "512": 72.2})
    ]
    plain = read_text("| name | params | acc |\n|---|---|---|\n| a | 11 | 71 |\n").trials
    assert scores_by_name(plain[0].scores) == {"params": 11, "acc": 71}


def test_what_is_set_is_no_score() -> None:
    for text in ("lr = 0.0006", "learning rate = 0.0006", "weight decay = 0.00025", "lr: 0.0006", "base_lr = 0.0125"):
        reading = read_text(text)
        assert reading.trials == [], text
        assert len(reading.lines[0].settings) == 1, text
    (trial,) = read_text("wide, lr = 0.0006: 71.25").trials
    assert scores_by_name(trial.scores) == {"score": 71.25}


def test_memory_size_and_speed_are_no_scores() -> None:
    for text in ("acc 77.0, 3.2 GB", "acc 77.0, 12.5 M", "acc 77.0, 45 fps"):
        (trial,) = read_text(text).trials
        assert scores_by_name(trial.scores) == {"acc": 77.0}, text


def test_figures_in_a_row_and_behind_an_arrow_are_scores() -> None:
    assert trials(
        "baseline 71.2 93.1\nwide    72.4   93.5\n+ mixup: 71.2 93.4\nlr 0.1 -> 71.5\nema -> 71.6 93.6\n"
    ) == [
        ("baseline", {"top1": 71.2, "top5": 93.1}, None),
        ("wide", {"top1": 72.4, "top5": 93.5}, None),
        ("mixup", {"top1": 71.2, "top5": 93.4}, None),
        ("lr 0.1", {"score": 71.5}, None),
        ("ema", {"top1": 71.6, "top5": 93.6}, None),
    ]
    fenced = read_text("# Trials\n```bash\npython train.py --lr 0.3  # 72.3\n```\n")
    assert [(line.kind, line.section) for line in fenced.lines[1:]] == [
        ("blank", ("Trials",)),
        ("trial", ("Trials",)),
        ("blank", ("Trials",)),
    ]
    for text in ("went from 71.2 -> 72.4 with ema", "lr 0.1 -> 0.01", "versions 1.2 3.4", "a sentence, 71.2 93.1"):
        assert read_text(text).trials == [], text


def test_commands_of_a_shell_script_are_trials_by_their_comments() -> None:
    script = (
        "#!/bin/bash\n"
        "# baseline: 71.2\n"
        "python train.py --lr 0.1\n"
        "python train.py --lr 0.3  # 72.3 better\n"
        "#python train.py --lr 1.0   # diverged\n"
        "# python train.py --lr 0.2\n"
        "# 72.1\n"
        "# python train.py --lr 0.5\n"
        "# acc: 0.912\n"
        "# python train.py --lr 0.4 --wd 0.1\n"
    )
    assert trials(script) == [
        ("baseline", {"score": 71.2}, None),
        ("python train.py --lr 0.3", {"score": 72.3}, "better"),
        ("python train.py --lr 1.0", {}, "failed"),
        ("python train.py --lr 0.2", {"score": 72.1}, None),
        ("python train.py --lr 0.5", {"acc": 0.912}, None),
    ]
    reading = read_text(script)
    assert [dict(trial.settings) for trial in reading.trials[1:]] == [
        {"lr": 0.3},
        {"lr": 1.0},
        {"lr": 0.2},
        {"lr": 0.5},
    ]
    assert [line.number for line in reading.plans] == [10]
    assert not any(line.kind == "heading" for line in reading.lines)
