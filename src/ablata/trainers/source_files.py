"""Which files in a folder are code, where nobody says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ENDINGS = frozenset({
    ".py", ".pyx", ".sh", ".bash", ".r", ".jl", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".go", ".js", ".mjs",
    ".ts", ".java", ".kt", ".lua", ".m", ".pl", ".pm", ".awk", ".rb", ".php",
})  # fmt: skip
_WRITTEN = frozenset({
    "__pycache__", "node_modules", "site-packages", "wandb", "mlruns", "lightning_logs", "outputs", "multirun", "build",
})  # fmt: skip
"""Folders that tools write; copies of code in them are no code of the program."""
_DOCUMENTS = frozenset({".md", ".rst", ".pdf", ".html", ".ipynb", ".bib", ".cff"})
_DOCUMENT_NAMES = frozenset({"license", "copying", "authors", "results.tsv", ".gitignore", ".gitattributes"})
_HOME = "ledger.sqlite3"
_ENVIRONMENT = "pyvenv.cfg"
MOST = 1000


def is_source(path: Path) -> bool:
    """Tell by its name and folders whether a file is code that somebody wrote; `path` is relative."""
    return path.suffix.lower() in _ENDINGS and not any(_is_left_out(part) for part in path.parts[:-1])


def is_document(path: Path) -> bool:
    """Tell whether a file is written for people, so that no program becomes another one by it; `path` is relative.

    What a program reads all the same is named by its arguments, or declared as an input, and counts as that.
    """
    return path.suffix.lower() in _DOCUMENTS or path.name.lower() in _DOCUMENT_NAMES or path.parts[0] == ".github"


def lies_in_lab(path: Path, top: Path) -> bool:
    """Tell whether a file below `top` lies in a lab's home, where runs write."""
    return any((place / _HOME).exists() for place in path.parents if place.is_relative_to(top))


def source_files(folder: Path) -> list[Path]:
    """Return the files of code in a folder and below it; of more than 1000 those in the folder itself.

    Hidden folders, virtual environments, labs of ablata and folders that tools write are left out.
    """
    found: list[Path] = []
    for path in _walked(folder):
        found.append(path)
        if len(found) > MOST:
            return sorted(path for path in found if path.parent == folder)
    return sorted(found)


def _walked(folder: Path) -> Iterator[Path]:
    for place, below, names in os.walk(folder):
        if _HOME in names or _ENVIRONMENT in names:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not _is_left_out(name))
        yield from (path for name in names if (path := Path(place, name)).suffix.lower() in _ENDINGS and path.is_file())


def _is_left_out(name: str) -> bool:
    return name in _WRITTEN or name.startswith(".")
