"""Families of settings classes: what stands in a package belongs to it, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest

from ablata.base.family import family
from ablata.base.settings import Settings

BASE = """
from typing import Literal
from ablata.base.settings import Settings

class Shape(Settings):
    kind: str

class Round(Shape):
    kind: Literal["round"] = "round"
"""


def test_a_class_belongs_to_its_family_by_standing_in_a_file_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shapes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text(BASE)
    (package / "angular.py").write_text(
        "from typing import Literal\nfrom shapes.base import Round, Shape\n\n"
        'class Square(Shape):\n    kind: Literal["square"] = "square"\n\n'
        'class Other:\n    kind = "other"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    from shapes.base import Round, Shape  # type: ignore[import-not-found]

    members = get_args(family(Shape, Round, "shapes"))
    assert [member.__name__ for member in members] == ["Round", "Square"]
    assert all(issubclass(member, Settings) for member in members)
    for name in [name for name in sys.modules if name.partition(".")[0] == "shapes"]:
        del sys.modules[name]
