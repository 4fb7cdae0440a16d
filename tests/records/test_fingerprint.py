from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import ablata.records.fingerprint as fingerprint
from ablata.records import code_fingerprint, environment, environment_class


def test_the_fingerprint_is_of_the_source_files_of_these_rooms_alone(tmp_path: Path) -> None:
    def package(name: str, files: dict[str, str]) -> Path:
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        return tmp_path / name

    base = {"nn/a.py": "one\n", "tasks/b/c.py": "two\n", "reports/page.py": "three\n"}
    same = code_fingerprint(package("base", base))
    beside = {"notes.txt": "anything", "tasks/b/c.pyc": "compiled", "__init__.py": ""}
    assert code_fingerprint(package("copy", base | beside)) == same
    windows = {name: text.replace("\n", "\r\n") for name, text in base.items()}
    assert code_fingerprint(package("windows", windows)) == same
    others = [
        {**base, "nn/a.py": "ONE\n"},
        {**base, "nn/d.py": ""},
        {"nn/b.py": "one\n", "tasks/b/c.py": "two\n"},
        {"nn/a.py": "one\ntwo\n", "tasks/b/c.py": ""},
    ]
    prints = {code_fingerprint(package(f"other{index}", files)) for index, files in enumerate(others)}
    assert len(prints | {same}) == 5


def test_only_the_rooms_that_compute_count(tmp_path: Path) -> None:
    shutil.copytree(fingerprint.PACKAGE, tmp_path / "ablata", ignore=shutil.ignore_patterns("__pycache__"))
    same = code_fingerprint()
    rooms = {path.parent.name for path in (tmp_path / "ablata").glob("*/__init__.py")}
    computing = {"base", "structures", "nn", "models", "losses", "data", "metrics", "engine", "tasks"}
    assert computing < rooms
    for number, room in enumerate(sorted(rooms - computing)):
        with (tmp_path / "ablata" / room / "__init__.py").open("a") as file:
            file.write(f"# a comment {number}\n")
    assert code_fingerprint(tmp_path / "ablata") == same
    prints = {same}
    for room in computing:
        with (tmp_path / "ablata" / room / "__init__.py").open("a") as file:
            file.write("# a comment\n")
        code_fingerprint.cache_clear()
        prints.add(code_fingerprint(tmp_path / "ablata"))
    assert len(prints) == 1 + len(computing)


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    program = "from ablata.records import *; print(code_fingerprint(), environment_class(environment()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [code_fingerprint(), environment_class(environment())]


def test_the_environment_names_the_libraries_by_version() -> None:
    described = environment()
    assert described["libraries"]["numpy"] == version("numpy")
    assert described["cores"] >= 1
    assert isinstance(described["processor"], str)


def test_the_class_depends_on_what_changes_figures_and_on_nothing_else() -> None:
    here = environment()
    for key, value in (("host", "other"), ("cores", 999), ("python", "0"), ("memory_bytes", 1), ("platform", "x")):
        assert environment_class({**here, key: value}) == environment_class(here)
    other: dict[str, object] = {
        "processor": "other",
        "accelerators": ["H200"],
        "driver": "1.2",
        "instructions": ["none"],
        "machine": "x",
    }
    for part, changed in [*other.items(), ("libraries", {**here["libraries"], "torch": "0.1"})]:
        assert environment_class({**here, part: changed}) != environment_class(here)


def test_graphics_processors_are_read_from_their_drivers_files(tmp_path: Path) -> None:
    folder = tmp_path / "gpus" / "0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA H200\nIRQ:   0\n")
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12.2.0\n"
    )
    assert fingerprint._accelerators(tmp_path) == ["NVIDIA H200"]
    assert fingerprint._driver(tmp_path) == "550.54.15"
    assert fingerprint._accelerators(tmp_path / "absent") == []
    assert fingerprint._driver(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cpu family\t: 6\nmodel\t\t: 167\nmodel name\t: Xeon X\ncpu family\t: 6\n", "Xeon X, cpu family 6, model 167"),
        ("Processor\t: ARMv8\nFeatures\t: asimd\n", "ARMv8"),
    ],
)
def test_the_processor_is_named_with_its_numbers(text: str, name: str) -> None:
    assert fingerprint._processor(text) == name


def test_runs_of_several_processes_are_a_class_of_their_own() -> None:
    here = environment()
    assert environment_class(here | {"processes": 2}) != environment_class(here | {"processes": 1})
