from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ablata


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_the_names_are_sorted_listed_and_all_there() -> None:
    assert ablata.__all__ == sorted(ablata.__all__)
    assert set(ablata.__all__) <= set(dir(ablata))
    assert all(getattr(ablata, name) is not None for name in ablata.__all__)


def test_each_name_is_documented() -> None:
    things = [getattr(ablata, name) for name in ablata.__all__ if name != "__version__"]
    assert [thing for thing in things if not inspect.getdoc(thing)] == []


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(ablata.__file__).read_text(encoding="utf-8"))
    (seen,) = (node for node in tree.body if isinstance(node, ast.If))
    names = {alias.asname for line in seen.body if isinstance(line, ast.ImportFrom) for alias in line.names}
    assert {*names, "__version__"} == set(ablata.__all__)
    for line in seen.body:
        assert isinstance(line, ast.ImportFrom)
        for alias in line.names:
            assert line.module is not None
            found = getattr(__import__(line.module, fromlist=[alias.name]), alias.name)
            assert found is getattr(ablata, alias.name), alias.name


def test_importing_loads_neither_torch_nor_the_ledger() -> None:
    loaded = loaded_after("import ablata\ndir(ablata)")
    assert not loaded & {"torch", "numpy", "sqlalchemy", "pydantic", "scipy"}


def test_what_reads_records_needs_no_torch() -> None:
    assert "torch" not in loaded_after("import ablata\nablata.Ledger, ablata.stats, ablata.errors, ablata.runs")


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean train"):
        ablata.trian  # type: ignore[attr-defined]  # noqa: B018
