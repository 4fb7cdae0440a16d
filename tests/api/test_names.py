from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import ablata


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


PLAIN = {"__version__", "INCIDENTAL", "Overrides"}
PACKAGES = [
    ablata,
    *(importlib.import_module(f"ablata.{room}") for room in ("base", "engine", "recipes", "reports", "studies")),
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_names_of_a_package_are_documented_and_all_there(package: ModuleType) -> None:
    assert len(package.__all__) == len(set(package.__all__))
    assert set(package.__all__) <= set(dir(package))
    things = {name: getattr(package, name) for name in package.__all__ if name not in PLAIN}
    assert [name for name, thing in things.items() if not inspect.getdoc(thing)] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_see_the_same_names(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    (seen,) = (node for node in tree.body if isinstance(node, ast.If))
    lines = [line for line in seen.body if isinstance(line, ast.ImportFrom)]
    found = {alias.asname: f"{line.module}.{alias.name}" for line in lines for alias in line.names}
    assert {*found, "__version__"} == {*package.__all__, "__version__"}
    for name, place in found.items():
        assert pkgutil.resolve_name(place) is getattr(package, str(name)), name


def test_importing_loads_neither_torch_nor_the_ledger() -> None:
    loaded = loaded_after("import ablata\ndir(ablata)")
    assert not loaded & {"torch", "numpy", "sqlalchemy", "pydantic", "scipy"}


def test_what_reads_records_needs_no_torch() -> None:
    assert "torch" not in loaded_after("import ablata\nablata.Ledger, ablata.stats, ablata.errors, ablata.runs")


def test_an_unknown_name_proposes_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean train"):
        ablata.trian  # type: ignore[attr-defined]  # noqa: B018


def test_the_names_of_the_package_are_sorted() -> None:
    assert ablata.__all__ == sorted(ablata.__all__)
