"""Text the grammar was not made for: other languages, other figures, logs and tables of other programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.notebooks.reader import read_file, read_text
from ablata.notebooks.reader.model import scores_by_name


def trials(text: str) -> list[tuple[str, dict[str, object]]]:
    """Return label and scores of each trial of a text."""
    return [(trial.label, scores_by_name(trial.scores)) for trial in read_text(text).trials]


def kinds(text: str) -> list[str]:
    return [line.kind for line in read_text(text).lines]


def test_other_languages_and_other_ways_to_write_figures(subtests: pytest.Subtests) -> None:
    for text, expected in [
        ("ベースライン: 76.5\nラベル平滑化: 77.2\n", [("ベースライン", 76.5), ("ラベル平滑化", 77.2)]),
        ("기준선: 76.5\n", [("기준선", 76.5)]),
        ("без аугментации: 71.2 хуже\n", [("без аугментации", 71.2)]),
        ("الأساس: 76.5\n", [("الأساس", 76.5)]),
        ("Référence : 76,5 %\ntaux réduit : 77,25 %\n", [("Référence", 76.5), ("taux réduit", 77.25)]),
        ("基线：７６．５\n大核：７７．２\n", [("基线", 76.5), ("大核", 77.2)]),
        ("\x1b[32mbaseline: 76.5\x1b[0m\n\x1b[1;31mbad idea: 70.5\x1b[0m\n", [("baseline", 76.5), ("bad idea", 70.5)]),
    ]:
        with subtests.test(text=text, expected=expected):
            assert [(trial.label, trial.scores[0].values[0]) for trial in read_text(text).trials] == expected
            assert read_text(text).text == text.removesuffix("\n")


def test_a_comma_is_a_decimal_point_only_where_no_point_is() -> None:
    assert [score for _, score in trials("a: 44,48\nb: 50,25\n")] == [{"score": 44.48}, {"score": 50.25}]
    assert [score for _, score in trials("a: 44.5,48.5\nb: 50.5,52.5\n")] == [
        {"series": [44.5, 48.5]},
        {"series": [50.5, 52.5]},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name;top1;top5\nbase;76,5;93,1\nmixup;77,2;93,6\n", ["base", "mixup"]),
        ("\\hline\nmethod & top1 & top5 \\\\\n\\midrule\nbase & 76.5 & 93.1 \\\\\nmixup & 77.2 & 93.6 \\\\\n\\hline\n",
         ["base", "mixup"]),
    ],
)  # fmt: skip
def test_tables_of_other_programs(text: str, expected: list[str]) -> None:
    found = trials(text)
    assert [label for label, _ in found] == expected
    assert found[0][1] == {"top1": 76.5, "top5": 93.1}
    assert found[1][1] == {"top1": 77.2, "top5": 93.6}


def test_a_log_of_objects_folds_by_what_they_hold() -> None:
    """The lines of a trainer that prints dictionaries, and of one that writes JSON."""
    spoken = read_text(
        "{'loss': 0.75, 'learning_rate': 4.9e-05, 'epoch': 0.1}\n"
        "{'loss': 0.5, 'learning_rate': 4.8e-05, 'epoch': 0.2}\n"
        "{'eval_loss': 0.25, 'eval_accuracy': 0.875, 'epoch': 1.0}\n"
    ).trials
    assert [(one.label, scores_by_name(one.scores), one.steps) for one in spoken] == [
        ("epoch 0.2", {"loss": 0.5}, 2),
        ("epoch 1.0", {"eval_loss": 0.25, "eval_accuracy": 0.875}, 1),
    ]
    (written,) = read_text('{"iteration": 19, "total_loss": 1.5}\n{"iteration": 39, "total_loss": NaN}\n').trials
    assert (written.label, written.steps) == ("iteration 39", 2)
    assert kinds('{"crop": [520, 520], "workers": 8}\n{not an object}\n{"a": {"a": 1}}')[0] == "setting"


def test_progress_bars_are_no_figures() -> None:
    (trial,) = read_text(
        "Epoch 3: 100%|██████| 98/98 [00:12<00:00, 7.9it/s, v_num=3, loss=0.5, val_acc=0.8125]\n"
    ).trials
    assert scores_by_name(trial.scores) == {"loss": 0.5, "val_acc": 0.8125}
    assert kinds(" 10%|█    | 10/100 [00:01<00:09]\n") == ["unknown"]


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04" + bytes(range(256)), b"\x1f\x8b\x08" + bytes(200), b"%PDF-1.5\n\x00\xff"]
)
def test_archives_and_documents_are_refused_as_binary(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is binary"):
        read_file(path)
