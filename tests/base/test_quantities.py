"""Counts as people write them."""

from __future__ import annotations

from ablata.base.quantities import counted


def test_one_is_one_and_several_have_the_ending_of_their_noun() -> None:
    said = [counted(1, "class"), counted(0, "class"), counted(2, "study"), counted(1200, "image"), counted(3, "box")]
    assert said == ["1 class", "0 classes", "2 studies", "1,200 images", "3 boxes"]
    assert [counted(number, "file is", "files are") for number in (1, 2)] == ["1 file is", "2 files are"]
    assert counted(2, "day") == "2 days"
