"""Recipes and studies are functions; this finds them by name, in a package or in a user's own file.

Listing reads the source text and imports nothing, so that names and one-line descriptions appear at once.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from inspect import isfunction
from pathlib import Path
from typing import Any

from ablata.base.errors import SettingsError, choices, nearest
from ablata.base.user_code import load_file


@dataclass(frozen=True)
class Entry:
    """A function of a catalogue: its name, the module that holds it, and its docstring."""

    name: str
    module: str
    text: str

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.text.strip().partition("\n")[0]


def entries(package: str) -> list[Entry]:
    """List the public functions of a package's modules, in the order of files and lines.

    Args:
        package: a package whose every public top-level function without a required argument is an entry.
    """
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    found: list[Entry] = []
    for path in sorted(Path(spec.submodule_search_locations[0]).glob("*.py")):
        module = f"{package}.{path.stem}"
        found.extend(
            Entry(node.name, module, ast.get_docstring(node) or "")
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not _required(node.args)
        )
    return found


def _required(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    return positional > len(arguments.defaults) or any(default is None for default in arguments.kw_defaults)


def load(reference: str, package: str, what: str) -> Callable[[], Any]:
    """Return the function that a reference names.

    Args:
        reference: the name of an entry of `package`, or `path/to/file.py:function`.
        package: where names are looked up.
        what: `recipe` or `study`, for messages.

    Raises:
        SettingsError: there is no such name, file or function, or the file does not run.
    """
    entry = find(reference, package, what)
    if entry is None:
        path, colon, name = reference.rpartition(":")
        return _from_file(path if colon else reference, name if colon else "", what)
    return getattr(importlib.import_module(entry.module), entry.name)  # type: ignore[no-any-return]


def find(reference: str, package: str, what: str) -> Entry | None:
    """Look a reference up without importing anything.

    Returns:
        The entry, or None for a reference to a file.

    Raises:
        SettingsError: there is no such name; lists those there are.
    """
    if ":" in reference or reference.endswith(".py"):
        return None
    known = {entry.name: entry for entry in entries(package)}
    if reference not in known:
        close = nearest(reference, known)
        raise SettingsError(
            f"A {what} must be one of {choices(known, reference)}, or path/to/file.py:function",
            found=reference,
            do=f"did you mean {close}?" if close else f"see all: ablata {what if what == 'study' else f'{what}s'} list",
        )
    return known[reference]


def _from_file(path: str, name: str, what: str) -> Callable[[], Any]:
    module = load_file(Path(path), what)
    functions = [
        key
        for key, value in vars(module).items()
        if isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    if not name and len(functions) == 1:
        name = functions[0]
    function = getattr(module, name, None) if name in functions else None
    if function is None:
        raise SettingsError(
            f"A {what} in a file is named file.py:function",
            found=f"{path}:{name}",
            do=f"choose one of {choices(functions, name)}",
        )
    return function  # type: ignore[no-any-return]
