"""Generated pages hold everything that they are made from; links between files of the repository lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

import ablata
from ablata import stats
from ablata.recipes.index import recipe_entries

from .pages import ROOT, pages

_spec = importlib.util.spec_from_file_location("site_reference", ROOT / "docs" / "reference.py")
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The generated pages."""
    return reference.pages()


def test_every_setting_that_a_recipe_can_have_is_on_a_page(made: dict[str, str]) -> None:
    for kind in reference.settings_classes():
        page = made[reference._page(reference._group(kind))]
        section = page.partition(f"\n## {kind.__name__}\n")[2].partition("\n## ")[0]
        assert section, kind
        keys = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        assert keys == [key for key in kind.model_fields if key != "kind"], kind


def test_recipes_commands_and_names_of_python_are_all_there(made: dict[str, str]) -> None:
    for entry in recipe_entries():
        assert f"\n### {entry.name}\n" in made["reference/recipes.md"]
    for command in ("ablata train", "ablata study run", "ablata data check", "ablata runs compare"):
        assert f"\n## {command}\n" in made["reference/commands.md"]
    for name in getattr(ablata, "__all__", ()):
        assert f"\n## ablata.{name}\n" in made["reference/python.md"]
    for name in ablata.lab.__all__:
        assert f"\n## ablata.lab.{name}\n" in made["reference/python.md"]
    for name in stats.__all__:
        assert f"\n## ablata.stats.{name}\n" in made["reference/stats.md"]


def test_links_between_files_lead_to_files(made: dict[str, str]) -> None:
    generated = {ROOT / "docs" / name for name in made}
    for path in [*pages(), *sorted((ROOT / "docs" / "results").glob("*.md")), ROOT / "docs" / "log.md"]:
        for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                target = Path(path.parent, link).resolve()
                assert target.exists() or target in generated, f"{path.relative_to(ROOT)}: {link}"
