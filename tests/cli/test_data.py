"""`ablata data`: previews of every task's kinds of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.parametrize(
    ("kind", "overrides", "said"),
    [
        ("persons", ("data.train=11", "data.val=2", "data.domain=summer"), "11 classes, 64x32 (height x width)"),
        ("scenes", ("data.train=130", "data.val=4"), "6 classes, 64x64 (height x width)"),
    ],
)
def test_a_kind_of_data_is_previewed(
    ablata: Callable, tmp_path: Path, kind: str, overrides: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "sheet.png"
    answer = ablata("data", "preview", kind, *overrides, "--output", str(file), "--count", "4")
    assert answer.status == 0
    assert said in answer.err + answer.out
    with Image.open(file) as picture:
        assert picture.width > 4 * 64


def test_an_unknown_kind_is_refused_with_the_nearest(ablata: Callable) -> None:
    answer = ablata("data", "preview", "person")
    assert answer.status == 2
    assert "did you mean persons?" in answer.err
    assert "market" in answer.err
