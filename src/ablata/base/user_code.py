"""Users' own code: references such as `path/to/file.py:Class`, loaded, found again, and listed with what they import.

A reference names a part that lies outside this package: `path/to/file.py:Name`, or `package.module:Name` of an
installed package. Settings hold a file's reference with its absolute path, so that it means the same from every
working folder; what identifies a recipe is the file's name alone (`portable`), and its contents count through the code
fingerprint.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from ablata.base.errors import SettingsError, listing, nearest

PACKAGE = __name__.partition(".")[0]
_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)|(?P<module>[A-Za-z_]\w*(?:\.\w+)*):(?P<attribute>\w+)")
_PREFIX = "ablata_user_"


@dataclass(frozen=True)
class Reference:
    """A reference taken apart.

    Attributes:
        file: the file's path, or None.
        module: the installed module's name, or None.
        name: of the class or function.
    """

    file: Path | None
    module: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.file or self.module}:{self.name}"


@dataclass
class CodeFolder:
    """Copies of users' files beside what was trained with them, for when the files themselves have moved or changed.

    Args:
        copies: copy of each file, by the path that it was taken from.
        used: filled with (original, copy) of each file that is read from its copy.
    """

    copies: dict[str, Path]
    used: list[tuple[str, Path]] = field(default_factory=list)

    @cached_property
    def _as_copied(self) -> bool:
        return all(
            Path(original).is_file() and Path(original).read_bytes() == copy.read_bytes()
            for original, copy in self.copies.items()
        )

    def find(self, file: Path) -> Path:
        """Return the file to read: the original where all files still hold what their copies hold, else the copy."""
        copy = self.copies.get(str(file))
        if copy is None or self._as_copied:
            return file
        if (str(file), copy) not in self.used:
            self.used.append((str(file), copy))
        return copy


def parse_reference(text: object) -> Reference | None:
    """Take a reference apart; None for any other value."""
    found = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    if found["file"]:
        return Reference(Path(found["file"]), None, found["name"])
    return Reference(None, found["module"], found["attribute"])


def absolute(text: str, code: CodeFolder | None = None) -> str:
    """Return a reference with the absolute path of the file to read; one of an installed module as it is.

    Args:
        text: a reference; its path may be relative to the working folder.
        code: where copies of files are that moved; None: nowhere.
    """
    reference = parse_reference(text)
    if reference is None or reference.file is None:
        return text
    file = reference.file.expanduser()
    file = file if file.is_absolute() else Path.cwd() / file
    file = Path(*file.parts) if ".." not in file.parts else file.resolve()
    return f"{code.find(file) if code else file}:{reference.name}"


def portable(text: str) -> str:
    """Return what of a reference identifies a recipe: the file's name without its folder; other text as it is."""
    reference = parse_reference(text)
    return text if reference is None or reference.file is None else f"{reference.file.name}:{reference.name}"


def resolve(text: str, what: str = "part") -> Any:
    """Return the class or function that a reference names.

    Args:
        text: `path/to/file.py:Name` or `package.module:Name`.
        what: what is looked for, for messages.

    Raises:
        SettingsError: there is no such file, module or name, or it does not run.
    """
    reference = parse_reference(text)
    if reference is None and "<locals>" in text:
        raise SettingsError(
            f"A {what} must be defined at the top of a file, so that another process finds it", found=text
        )
    if reference is None:
        raise SettingsError(
            f"A {what} must be named path/to/file.py:Name, or package.module:Name of an installed package", found=text
        )
    module = load_file(reference.file, what) if reference.file else _installed(str(reference.module), what)
    if not hasattr(module, reference.name):
        names = own_names(module)
        close = nearest(reference.name, names)
        raise SettingsError(
            f"{reference.file or reference.module} must define {reference.name}",
            found=f"it defines {listing(names)}" if names else "it defines nothing public",
            do=f"did you mean {reference.file or reference.module}:{close}?" if close else None,
        )
    return getattr(module, reference.name)


def own_names(module: ModuleType) -> list[str]:
    """Return the public classes and functions that a module itself defines."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    ]


def reference_of(thing: Any) -> str:
    """Return the reference under which a class or function is found again.

    One that is defined inside a function, or in no file, has none; what is returned for it names it and is refused by
    `resolve`.
    """
    module, name = sys.modules.get(thing.__module__), thing.__qualname__
    path = _path_of(module) if module is not None else None
    if path is not None and (is_own(module) if module else False):
        return f"{path}:{name}"
    return f"{thing.__module__}:{name}"


def module_of(thing: Any) -> ModuleType | None:
    """Return the module in which a class or function is defined."""
    return sys.modules.get(getattr(thing, "__module__", ""))


def is_own(module: ModuleType) -> bool:
    """Tell whether a module is the user's: not of this package, nor Python's, nor installed in site-packages."""
    path = _path_of(module)
    return path is not None and not _is_installed(path)


def load_file(file: Path, what: str = "part") -> ModuleType:
    """Import a user's file, together with the modules beside it that it imports.

    A file that has not changed since it was imported, nor what it imports, is not imported again, so that its classes
    stay the same classes.

    Args:
        file: the file.
        what: what is looked for in it, for messages.

    Raises:
        SettingsError: there is no such file, or it does not run.
    """
    path = file.expanduser().resolve()
    if not path.is_file():
        raise SettingsError(f"The file of a {what} must exist", found=f"{file}, looked for in {Path.cwd()}")
    main = sys.modules.get("__main__")
    if main is not None and _path_of(main) == path:
        return main
    name = f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    known = sys.modules.get(name)
    if known is not None and known.__dict__.get("__ablata_digest__") == files_digest(module_files([known])):
        return known
    _forget_neighbours(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.parent)
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except SettingsError:
        sys.modules.pop(name, None)
        raise
    except Exception as error:
        sys.modules.pop(name, None)
        raise SettingsError(f"The file of a {what} must run", found=_told(path, file, error)) from error
    module.__dict__["__ablata_digest__"] = files_digest(module_files([module]))
    return module


def _installed(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"The module of a {what} must be installed here", found=f"{name}: {error}", do="install it, or name a file"
        ) from None


def _forget_neighbours(folder: Path) -> None:
    """Let modules of the user's be imported anew: those of this folder, and those of another that hide its own."""
    here = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    for name, module in list(sys.modules.items()):
        path = _path_of(module)
        if path is None or name == "__main__" or name.startswith(_PREFIX) or _is_installed(path):
            continue
        if name.partition(".")[0] in here:
            del sys.modules[name]


def _told(path: Path, shown: Path, error: BaseException) -> str:
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    line = lines[-1] if lines else getattr(error, "lineno", "?")
    return f"{shown}, line {line}: {type(error).__name__}: {error}"


def module_files(modules: Iterable[ModuleType]) -> tuple[Path, ...]:
    """Return the files of modules and of all that they import, directly or not, as far as those are the user's own.

    Not among them are this package, Python's library and what is installed in site-packages; an import inside a
    function counts like one at the top.

    Args:
        modules: imported modules.
    """
    found: dict[Path, None] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path = _path_of(module)
        if path is None or path in found or _is_installed(path) or path.suffix != ".py":
            continue
        found[path] = None
        waiting += _imported(module, path)
    return tuple(sorted(found))


def _imported(module: ModuleType, path: Path) -> Iterator[ModuleType]:
    package = getattr(module, "__package__", None) or ""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            for length in range(1, name.count(".") + 2):
                part = ".".join(name.split(".")[:length])
                if part in sys.modules:
                    yield sys.modules[part]
                elif (later := _not_yet(part)) is not None:
                    yield later


def _not_yet(name: str) -> ModuleType | None:
    """Return a stand-in for a module that the user's code will import later, inside a function."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None or spec.origin is None or _is_installed(Path(spec.origin)):
        return None
    stand_in = ModuleType(name)
    stand_in.__file__, stand_in.__package__ = spec.origin, spec.parent
    return stand_in


def files_digest(files: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits of the names and contents of files, whatever folder they lie in."""
    hasher = hashlib.sha256()
    for file in sorted(files, key=lambda file: (file.name, str(file))):
        content = file.read_bytes().replace(b"\r\n", b"\n")
        hasher.update(f"{file.name}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()[:16]


def _path_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def _is_installed(path: Path) -> bool:
    """Tell whether a file belongs to this package, to Python, or to what is installed in site-packages."""
    resolved = path.resolve()
    if {"site-packages", "dist-packages"} & set(resolved.parts) or not resolved.exists():
        return True
    own = Path(__file__).resolve().parents[1]
    library = [Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")]
    return any(resolved.is_relative_to(folder) for folder in (own, *library))
