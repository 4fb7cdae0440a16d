"""Whether two commits hold the same program: the same files, or Python files that differ in comments and layout."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

from ablata.trainers.git import changed_files, file_at

_MOST_FILES = 50


def same_code(folder: Path, first: str, second: str) -> bool:
    """Tell whether the files of two commits are equal, but for comments and layout of Python files.

    Args:
        folder: in the repository.
        first, second: commits.
    """
    changed = changed_files(folder, first, second)
    if changed is None or len(changed) > _MOST_FILES:
        return False
    return all(name.endswith(".py") and _same_syntax(folder, first, second, name) for name in changed)


def _same_syntax(folder: Path, first: str, second: str, name: str) -> bool:
    trees = [syntax(file_at(folder, commit, name)) for commit in (first, second)]
    return trees[0] is not None and trees[0] == trees[1]


def syntax(text: bytes | None) -> str | None:
    """Return the syntax tree of a Python file, without places, comments and layout; None where there is none."""
    if text is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
