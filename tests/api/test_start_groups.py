"""Images that belong together are told by their names, by folders or by a table, and never by chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.api.start.groups import find_groups, is_folder_of_groups, is_one_film
from ablata.data.labels.splitting import SplitRule


def numbered(form: str, groups: int = 6, each: int = 4) -> list[str]:
    return [form.format(group=group, number=number) for group in range(groups) for number in range(each)]


@pytest.mark.parametrize(
    ("form", "group"),
    [
        ("images/patient{group:03}_{number:02}.png", "patient003"),
        ("film{group}_{number:06}.png", "film3"),
        ("scan_subject-{group}_slice{number}.png", "subject-3"),
        ("a{group}b_frame_{number:04}.jpg", "a3b_frame"),
        ("01{group}_{number:02}.png", "013"),
        ("img{group}_jpg.rf.{number:032x}.jpg", "img3"),
        ("walk{group}/{number}.png", "walk3"),
    ],
)
def test_names_tell_which_images_belong_together(tmp_path: Path, form: str, group: str) -> None:
    names = numbered(form)
    found = find_groups(tmp_path, names, by_folder=True)
    assert found is not None
    assert len(set(found.of.values())) == 6
    assert found.of[form.format(group=3, number=1)] == f"group {group}"
    assert found.in_both(names[:10], names[10:]) == [found.of[names[9]]]
    rule = SplitRule(group=found.setting.partition("=")[2])
    assert rule.groups(names, tmp_path) == [found.of[name] for name in names]


def test_names_that_tell_nothing_make_no_groups(tmp_path: Path) -> None:
    for names in (
        numbered("BloodImage_{group:03}{number:02}.jpg"),
        numbered("film_{group:03}{number:02}.png"),
        numbered("{group}{number}.png"),
        numbered("a_{group}{number}.png", 3) + numbered("b_{group}{number}.png", 3),
        [f"case{number}.png" for number in range(20)],
    ):
        assert find_groups(tmp_path, names, by_folder=True) is None, names[0]
    assert find_groups(tmp_path, numbered("cat{group}/{number}.png"), by_folder=False) is None
    assert is_one_film(numbered("film_{group:03}{number:02}.png"))
    assert not is_one_film(numbered("IMG_{group:03}{number:02}.png"))
    assert is_folder_of_groups(["walk1/a.png", "walk2/b.png"])
    assert not is_folder_of_groups(["train/a.png", "val/b.png"])


def test_a_table_tells_more_than_names(tmp_path: Path) -> None:
    names = [f"images/{number}.png" for number in range(12)]
    rows = [f"{number}.png,{'cat' if number % 2 else 'dog'},P{number // 3}" for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["Image,Label,Patient", *rows]))
    found = find_groups(tmp_path, names, by_folder=True)
    assert found is not None
    assert found.setting == "data.group_column=patient"
    assert found.of["images/4.png"] == "group P1"
