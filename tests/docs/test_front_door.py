"""What lies at the repository's door agrees with itself: versions, licence, extras, workflow, navigation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_and_the_licence_are_the_same_everywhere() -> None:
    from ablata import __version__

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["project"]["version"] == __version__ == citation["version"]
    assert PROJECT["project"]["license"] == citation["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_ruff_before_a_commit_is_the_one_of_the_suite() -> None:
    pinned = re.search(r"^ruff==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    local = next(repo for repo in hooks["repos"] if repo["repo"] == "local")
    assert [hook["additional_dependencies"] for hook in local["hooks"]] == [[pinned[0]]] * 2


def test_the_workflow_tests_every_python_that_the_package_names() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yml").read_text())
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert tested == named
    assert PROJECT["project"]["requires-python"] == f">={named[0]}"


def test_no_file_names_a_folder_of_one_machine() -> None:
    here = "|".join(("/wo" + "rk/", r"\.\./sha" + "red", "/ro" + "ot/"))
    told = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for folder in ("src", "tests", "benchmarks", "docs", ".github")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".md", ".yml", ".toml", ".html", ".txt") and path.is_file()
        if (found := re.search(here, path.read_text(encoding="utf-8")))
    ]
    assert not told


def test_every_make_target_is_phony_and_every_phony_exists() -> None:
    text = (ROOT / "Makefile").read_text()
    named = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())  # type: ignore[index]
    assert named == set(re.findall(r"^([\w-]+):", text, re.MULTILINE)) - {"PYTHON", "VENV", "BIN", "PIP"}


def test_the_page_of_faults_names_tests_that_there_are() -> None:
    page = (ROOT / "docs" / "concepts" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8") if test else (ROOT / path).is_file(), path
