"""Python files with all that they import, as far as it is the user's own; and what tells them apart."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType


def module_files(modules: Iterable[ModuleType]) -> tuple[Path, ...]:
    """Return the files of modules and of all that they import, directly or not, as far as those are the user's own.

    Not among them are this package, Python's library and what is installed in site-packages; an import inside a
    function counts like one at the top.

    Args:
        modules: imported modules.
    """
    return imported_files(path for module in modules if (path := path_of(module)) is not None)


def imported_files(files: Iterable[Path]) -> tuple[Path, ...]:
    """Return Python files and those of all modules that they import; as `module_files`, but nothing need be imported.

    Args:
        files: absolute, symbolic links resolved.
    """
    found: dict[Path, None] = {}
    waiting = [(path, import_folders(path)) for path in files]
    while waiting:
        path, folders = waiting.pop()
        if path in found or path.suffix != ".py" or not path.is_file() or is_installed(str(path)):
            continue
        found[path] = None
        root = import_root(path)
        packages = [folder / "__init__.py" for folder in path.parents if folder != root and folder.is_relative_to(root)]
        within = tuple(dict.fromkeys((*folders, root)))
        waiting += [(file, within) for file in (*packages, *_imported(path, within))]
    return tuple(sorted(found))


def _imported(path: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Give the files of the modules that a file's text imports, as far as they can be found."""
    for name in imported_names(path):
        for length in range(1, name.count(".") + 2):
            part = ".".join(name.split(".")[:length])
            file = file_beside(part, folders) or _elsewhere(part)
            if file is not None:
                yield file


def imported_names(path: Path) -> tuple[str, ...]:
    """Return the names of the modules, and of what is taken from them, that a file's text imports."""
    package = dotted_name(path) if path.name == "__init__.py" else dotted_name(path).rpartition(".")[0]
    return _names_in(path.read_bytes(), package)


@lru_cache(maxsize=256)
def _names_in(source: bytes, package: str) -> tuple[str, ...]:
    try:
        return tuple(_walked(ast.parse(source), package))
    except (SyntaxError, ValueError):
        return ()


def _walked(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def file_beside(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of a module as it lies below the folders, in their order."""
    for folder in folders:
        place = folder.joinpath(*name.split("."))
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if name and file.is_file():
                return file.resolve()
    return None


def _elsewhere(name: str) -> Path | None:
    """Return the file of a module that is imported already, or could be: that of a package of the user's own."""
    module = sys.modules.get(name)
    if module is not None:
        return path_of(module)
    top, *below = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
        for part in below:
            # What is installed is not looked into. A dotted name given to `find_spec` would import its packages, torch
            # with them.
            if spec is None or (spec.origin is not None and is_installed(spec.origin)):
                return None
            spec = PathFinder.find_spec(f"{spec.name}.{part}", spec.submodule_search_locations or [])
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None


def relative_names(files: Iterable[Path]) -> dict[Path, str]:
    """Return files with their paths below the innermost folder from which all of them can be imported."""
    files = sorted(files)
    root = Path(os.path.commonpath([import_root(file) for file in files])) if files else Path()
    return {file: file.relative_to(root).as_posix() for file in files}


def files_digest(files: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits of the names and contents of files, wherever the folder lies that holds them all."""
    hasher = hashlib.sha256()
    for file, name in relative_names(files).items():
        content = file.read_bytes().replace(b"\r\n", b"\n")
        hasher.update(f"{name}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()[:16]


def import_root(path: Path) -> Path:
    """Return the folder from which a file is imported: the first above it that is no package."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def dotted_name(path: Path) -> str:
    """Return a file's name as a module, seen from its import root."""
    parts = path.relative_to(import_root(path)).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_folders(path: Path) -> tuple[Path, ...]:
    """Return where a file's imports are looked for: beside it, and where its package lies."""
    return tuple(dict.fromkeys((path.parent, import_root(path))))


def path_of(module: ModuleType) -> Path | None:
    """Return the file of a module, symbolic links resolved; None where it has none."""
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


@cache
def is_installed(file: str) -> bool:
    """Tell whether a file belongs to this package, to Python, or to what is installed in site-packages."""
    resolved = Path(file).resolve()
    if {"site-packages", "dist-packages"} & set(resolved.parts) or not resolved.exists():
        return True
    own = Path(__file__).resolve().parents[1]
    library = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")]
    return any(resolved.is_relative_to(folder) for folder in (own, *library))
