"""Users' own code: references such as `path/to/file.py:Class`, loaded, and found again.

A reference names a part that lies outside this package: `path/to/file.py:Name`, or `package.module:Name` of an
installed package. Settings hold a file's reference with its absolute path, so that it means the same from every
working folder; what identifies a recipe is the file's name alone (`portable`), and its contents count through the code
fingerprint.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from ablata.base.errors import SettingsError, choices, listing, nearest
from ablata.base.imported_files import dotted_name, file_beside, import_folders, is_installed, module_files, path_of

PACKAGE = __name__.partition(".")[0]
_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)|(?P<module>[A-Za-z_]\w*(?:\.\w+)*):(?P<attribute>\w+)")
_PREFIX = "ablata_user_"
_IMPORTING: ContextVar[bool] = ContextVar("ablata_importing", default=False)
_CONTENTS = "__ablata_contents__"
"""Where a user's module keeps what its files and those it imports held when it was imported."""


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
        folder: where the copies lie.
        copies: copy of each file, by the path that it was taken from.
        foreign: the files come from elsewhere: their copies are read, whatever lies at their paths here.
        used: whether a copy was read in place of a file that moved or changed.
    """

    folder: Path
    copies: dict[str, Path]
    foreign: bool = False
    used: bool = False

    @cached_property
    def changed(self) -> tuple[str, ...]:
        """The files that are gone, or hold something else than their copies."""
        return tuple(original for original, copy in self.copies.items() if not _equal(Path(original), copy))

    def find(self, file: Path) -> Path | None:
        """Return the file to read: the original where all files still hold what their copies hold, else the copy.

        A file that was copied from another path is found by its name, since equal recipes may have been recorded with
        files of other folders. None: there is no copy of it.
        """
        named = [original for original in self.copies if Path(original).name == file.name]
        original = str(file) if str(file) in self.copies else named[0] if len(named) == 1 else None
        if original is None:
            return None
        if not self.foreign and not self.changed:
            return Path(original)
        self.used = self.used or not self.foreign
        return self.copies[original]

    def notice(self) -> str | None:
        """Return a line that says which copies were read because files have moved or changed; None: none were."""
        if not self.used:
            return None
        changed = [file for file in self.changed if Path(file).is_file()]
        gone = [file for file in self.changed if file not in changed]
        told = [f"{listing(gone)} {'are' if len(gone) > 1 else 'is'} gone"] * bool(gone)
        told += [f"{listing(changed)} {'have' if len(changed) > 1 else 'has'} changed"] * bool(changed)
        return f"{' and '.join(told)} since this was trained: the copy in {self.folder} is used"


def _equal(first: Path, second: Path) -> bool:
    try:
        return first.read_bytes() == second.read_bytes()
    except OSError:
        return False


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
    if code is not None and (copy := code.find(reference.file)) is not None:
        return f"{copy}:{reference.name}"
    file = reference.file.expanduser()
    file = file if file.is_absolute() else Path.cwd() / file
    file = file.resolve() if ".." in file.parts else file
    return f"{file}:{reference.name}"


def settled(text: str) -> str:
    """Return a reference that was resolved by its file, where it names a module that is the user's own."""
    reference = parse_reference(text)
    module = sys.modules.get(reference.module or "") if reference is not None else None
    return f"{path_of(module)}:{reference.name}" if reference and module and is_own(module) else text


def references(tree: Any) -> list[str]:
    """Return the references in an expanded tree of settings, in their order, each once."""
    found: dict[str, None] = {}
    waiting = [tree]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, Mapping):
            # The name of a recipe tells where it was written; nothing is run by it.
            waiting += [inner for key, inner in value.items() if key != "name"]
        elif isinstance(value, list | tuple):
            waiting += value
        elif parse_reference(value) is not None:
            found[value] = None
    return list(found)


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
            f"A {what} must be defined at the top of a file, so that another process finds it",
            found=f"{text.rpartition('.')[2]}, defined inside a function ({text})",
            do="move it to the top of its file",
        )
    if reference is None:
        raise SettingsError(
            f"A {what} must be named path/to/file.py:Name, or package.module:Name of an installed package",
            found=text,
            do="give the file and the name in it, such as ./mine.py:Name",
        )
    if reference.module == "__main__":
        raise SettingsError(
            f"A {what} must be defined in a file, so that another process finds it",
            found=f"{reference.name}, defined at a prompt or in a notebook's cell",
            do=f"write it to a file, import it from there, or name it path/to/file.py:{reference.name}",
        )
    module = load_file(reference.file, what) if reference.file else _installed(str(reference.module), what)
    if not hasattr(module, reference.name):
        names = own_names(module)
        close = nearest(reference.name, names)
        raise SettingsError(
            f"{reference.file or reference.module} must define {reference.name}",
            found=f"it defines {choices(names, reference.name)}" if names else "it defines nothing public",
            do=f"did you mean {reference.file or reference.module}:{close}?" if close else "name what is in it",
        )
    return getattr(module, reference.name)


def own_names(module: ModuleType) -> list[str]:
    """Return the public classes and functions that a module itself defines, or a package takes from its modules."""
    name = module.__name__
    within = (name, f"{name}.") if hasattr(module, "__path__") else (name,)
    public = {key: value for key, value in vars(module).items() if not key.startswith("_") and callable(value)}
    homes = {key: str(getattr(value, "__module__", "")) for key, value in public.items()}
    return [key for key, home in homes.items() if home == name or home.startswith(within[1:])]


def reference_of(thing: Any) -> str:
    """Return the reference under which a class or function is found again.

    One that is defined inside a function, or in no file, has none; what is returned for it names it and is refused by
    `resolve`.
    """
    module, name = sys.modules.get(thing.__module__), thing.__qualname__
    return f"{path_of(module)}:{name}" if module is not None and is_own(module) else f"{thing.__module__}:{name}"


def module_of(thing: Any) -> ModuleType | None:
    """Return the module in which a class or function is defined."""
    return sys.modules.get(getattr(thing, "__module__", ""))


def is_own(module: ModuleType) -> bool:
    """Tell whether a module is the user's: not of this package, nor Python's, nor installed in site-packages."""
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and not is_installed(file)


def load_file(file: Path, what: str = "part") -> ModuleType:
    """Import a user's file, together with the modules beside it that it imports.

    A file of a package (with an `__init__.py` beside it) is imported as its module. A file that has not changed since
    it was imported, nor what it imports, is not imported again, so that its classes stay the same classes.

    Args:
        file: the file.
        what: what is looked for in it, for messages.

    Raises:
        SettingsError: there is no such file, or it does not run.
    """
    path = file.expanduser().resolve()
    if not path.is_file():
        raise SettingsError(
            f"The file of a {what} must exist",
            found=f"{file}, looked for in {Path.cwd()}",
            do="give the path from this folder, or the whole path",
        )
    folders = import_folders(path)
    for folder in map(str, reversed(folders)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    _forget_changed(folders)
    known = next((module for module in [*sys.modules.values()] if is_own(module) and path_of(module) == path), None)
    if known is not None:
        _mark([known])
        return known
    dotted = dotted_name(path)
    name = dotted if "." in dotted else f"{_PREFIX}{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    before = set(sys.modules)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name) if name == dotted else _executed(name, path)
    except SettingsError:
        raise
    except (Exception, SystemExit) as error:
        raise SettingsError(
            f"The file of a {what} must run",
            found=_told(path, file, error),
            do=f"mend it there; python {file} shows the whole error",
        ) from error
    _mark(sys.modules[new] for new in set(sys.modules) - before)
    return module


def _mark(modules: Iterable[ModuleType]) -> None:
    """Note what the files of the user's modules hold, and those that they import, to see later whether they changed."""
    for module in modules:
        if is_own(module) and _CONTENTS not in vars(module):
            vars(module)[_CONTENTS] = {file: _content(file) for file in module_files([module])}


def _content(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def _executed(name: str, path: Path) -> ModuleType:
    """Run a file that is of no package, as a module of a name that no other has."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importing():
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextmanager
def _importing() -> Iterator[None]:
    token = _IMPORTING.set(True)
    try:
        yield
    finally:
        _IMPORTING.reset(token)


def refuse_while_importing() -> None:
    """Refuse to run anything while a user's file is imported: a worker that imports it would do so, too, and so on.

    Raises:
        SettingsError: says how a file runs something when it is called alone.
    """
    if _IMPORTING.get():
        raise SettingsError(
            "A file with studies, functions or parts must run nothing when it is imported",
            found="a study is run by a line at the top of it",
            do='put that line below: if __name__ == "__main__":',
        )


def _installed(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"The module of a {what} must be installed here", found=f"{name}: {error}", do="install it, or name a file"
        ) from None


def _forget_changed(folders: Sequence[Path]) -> None:
    """Let modules of the user's be imported anew: those that changed, and those of other folders that hide one here."""
    here = {path.stem for folder in folders for path in folder.glob("*.py")}
    here |= {path.parent.name for folder in folders for path in folder.glob("*/__init__.py")}
    own = {name: module for name, module in list(sys.modules.items()) if name != "__main__" and is_own(module)}
    known = {file: content for module in own.values() for file, content in vars(module).get(_CONTENTS, {}).items()}
    changed = {file for file, content in known.items() if _content(file) != content}
    for name, module in own.items():
        hides = name.partition(".")[0] in here and file_beside(name, folders) != path_of(module)
        # A module that was imported inside a function has noted nothing itself.
        if hides or (changed and changed & {*vars(module).get(_CONTENTS, ()), *module_files([module])}):
            del sys.modules[name]


def _told(path: Path, shown: Path, error: BaseException) -> str:
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    line = lines[-1] if lines else getattr(error, "lineno", "?")
    return f"{shown}, line {line}: {type(error).__name__}: {error}"
