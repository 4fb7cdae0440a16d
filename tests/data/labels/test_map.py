"""Label maps: what people write is what is read, both ways are exact, and a wrong map is refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.data.labels.map import HEAD, Label, LabelMap, read_label_map

COLORS = LabelMap(
    "colors",
    (
        Label(0x8429F6, 0, "land"),
        Label(0xE2A929, 1, "water, deep"),
        Label(0x9B9B9B, 255, "unlabelled", ignore=True),
        Label(0x000000, 254, 'called "no"', ignore=True, remark="in 2 files"),
    ),
)
GREY = LabelMap(
    "ids",
    (Label(0, 0, "no"), Label(74, 1, "road", color=(1, 2, 3)), Label(128, 2, "12"), Label(-1, 255, "plate", True)),
)


def _written(folder: Path, text: str) -> Path:
    (folder / "map.yaml").write_text(text)
    return folder / "map.yaml"


@pytest.mark.parametrize("label_map", [COLORS, GREY], ids=["colors", "values"])
def test_a_map_reads_back_as_it_was_written(tmp_path: Path, label_map: LabelMap) -> None:
    again = read_label_map(_written(tmp_path, label_map.as_text()))
    assert again.form == label_map.form
    assert [(one.value, one.id, one.name, one.ignore, one.color) for one in again.labels] == [
        (one.value, one.id, one.name, one.ignore, one.color) for one in label_map.labels
    ]


def test_a_name_with_any_sign_reads_back(tmp_path: Path) -> None:
    for name in (
        "a\x01b",
        "\x1b[31mred",
        "del\x7f",
        "next\x85line",
        "back\\slash",
        "mark\ufffe",
        "two\nlines",
        "Strasse ß",
    ):
        label_map = LabelMap("ids", (Label(0, 0, name, remark=f"was {name}"), Label(1, 1, "road")))
        text = label_map.as_text()
        assert "\x1b" not in text
        assert [label.name for label in read_label_map(_written(tmp_path, text)).labels] == [name, "road"]


@pytest.mark.parametrize("label_map", [COLORS, GREY], ids=["colors", "values"])
def test_raw_values_come_back_from_ids_exactly(label_map: LabelMap) -> None:
    raw = np.random.default_rng(0).choice([label.value for label in label_map.labels], (11, 7))
    ids = label_map.encode(raw, "here")
    assert ids.dtype == np.uint8
    assert label_map.exact
    assert np.array_equal(label_map.decode(ids, "here"), raw)


def test_training_reads_the_values_that_conversion_would_write() -> None:
    raw = np.array([[0x8429F6, 0xE2A929, 0x9B9B9B, 0x000000]])
    table = COLORS.table()
    assert table.encode(raw, "here").tolist() == [[0, 1, 255, 255]]
    assert (table.names, table.palette[0]) == (("land", "water, deep"), (0x84, 0x29, 0xF6))
    assert COLORS.converted().table().encode(COLORS.encode(raw, "here"), "here").tolist() == [[0, 1, 255, 255]]
    assert COLORS.converted().table().palette == table.palette


def test_several_values_can_be_one_class_for_conversion_alone() -> None:
    merged = LabelMap("ids", (Label(1, 0, "car"), Label(2, 0, "car"), Label(3, 1, "road")))
    assert merged.encode(np.array([[1, 2, 3]]), "here").tolist() == [[0, 0, 1]]
    assert not merged.exact
    assert merged.decode(np.array([[0, 1]], np.uint8), "here").tolist() == [[1, 3]]
    with pytest.raises(DataError, match=r"several values are car[^*]*ablata data convert"):
        merged.table()
    assert merged.converted().table().names == ("car", "road")


def test_values_that_are_not_in_the_map_are_named() -> None:
    with pytest.raises(DataError, match=r"a.png: #123456 \(1 pixel\)"):
        COLORS.encode(np.array([[0x8429F6, 0x123456]]), "a.png")
    with pytest.raises(DataError, match=r"a.png: 7 \(2 pixels\)"):
        COLORS.decode(np.array([[0, 7, 7]], np.uint8), "a.png")


def test_a_wrong_map_is_refused_with_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    for number, (lines, message) in enumerate(
        (
            ("- {value: 1, id: 0, name: a}\n- {value: 1, id: 1, name: b}", "1"),
            ("- {value: 1, id: 1, name: a}", "ids 1"),
            ("- {value: 1, id: 0, name: a}\n- {value: 2, id: 0, name: b}", "id 0 is a and b"),
            ("- {value: 1, id: 0, name: a}\n- {value: 2, id: 0, name: a, ignore: true}", "id 0"),
            ("- {value: 1, id: 0, name: a}\n- {value: 2, id: 256, name: b, ignore: true}", "id 256"),
            ("- {color: #112233, id: 0, name: a}", "YAML"),
            ("- {color: '112233', id: 0, name: a}", "112233"),
            ("- {value: x, id: 0, name: a}", "value of a label must be a whole number"),
            ("- {value: 1, id: 0}", "no name"),
            (f"- {{value: {'9' * 5000}, id: 0, name: a}}", "10 digits at most"),
            ("- {id: 0, name: a}", "no value or color"),
            ("- {value: 1, id: 0, nam: a}", "did you mean name"),
            ("- {value: 1, id: 0, name: a, ignore: maybe}", "maybe"),
            ("- {value: 1, id: 0, name: a}\n- {color: '#112233', id: 1, name: b}", "both"),
            ("- road", "road"),
            ("", "labels"),
            ("- [", "YAML"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = _written(folder, f"{HEAD}labels:\n{lines}\n")
        with pytest.raises(DataError, match=message) as refused:
            read_label_map(file)
        assert "map.yaml" in str(refused.value)


def test_a_map_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.yaml"):
        read_label_map(tmp_path / "none.yaml")
