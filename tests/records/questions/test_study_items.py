"""The items of a study's runs side by side."""

from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.records.questions.study_items import clusters_of


def test_items_belong_together_by_folder_or_by_a_part_of_their_name() -> None:
    names = ("v1/1.png", "v1/2.png", "v2/1.png", "alone.png")
    assert clusters_of(names, "folder").tolist() == [0, 0, 1, 2]
    frames = ("0001TP_006690", "0001TP_006720", "Seq05VD_f00000", "other")
    assert clusters_of(frames, "^([^_]+)_").tolist() == [0, 0, 1, 2]
    assert clusters_of(frames, "^[^_]+_").tolist() == [0, 0, 1, 2]


def test_a_rule_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(SettingsError, match="regular expression"):
        clusters_of(("a",), "(")
