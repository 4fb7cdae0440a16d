"""The code of a function that lives in this process alone, by content: what it computes with, wherever it was typed.

Counted are the compiled code and the defaults of a function, the values of its closure, and the globals that it and
the functions it calls name: functions and classes by their code, arrays and tensors by their bytes, other objects by
what a copy of them would be made of. What Python's library and site-packages hold counts by name, modules of the user's
own by their files. It is the compiled code and not the text that counts: the text may have been edited since.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import itertools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from ablata.base.imported_files import files_digest, module_files
from ablata.base.user_code import PACKAGE, is_own, module_of
from ablata.records.fingerprint import code_fingerprint

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, PurePath)


def live_digest(thing: Any) -> tuple[str, tuple[str, ...]]:
    """Return 32 hexadecimal digits of the content of a function and all it uses.

    Args:
        thing: a function, a method, a `functools.partial`.

    Returns:
        The digits, and what it uses that has no content to be told by, such as an open file: the digits are blind to
        that.
    """
    reader = _Reader()
    reader.read(thing, "")
    return reader.hasher.hexdigest(), tuple(dict.fromkeys(reader.blind))


def reads_as_on_disk(function: types.FunctionType) -> bool:
    """Tell whether a function's module, and those of the user's own that it imports, are what their files hold now.

    They are not where a file was edited after it was imported, or where a name of a module was given another value.
    """
    module = module_of(function)
    if module is None or vars(module) is not function.__globals__:
        return False
    files = set(module_files([module]))
    loaded = [module, *(other for other in list(sys.modules.values()) if is_own(other) and _file(other) in files)]
    held = (value for one in loaded for value in vars(one).values() if isinstance(value, types.ModuleType))
    modules = {id(one): one for one in (*loaded, *(one for one in held if is_own(one)))}
    try:
        compiled = {file: compile(file.read_bytes(), file, "exec", dont_inherit=True) for file in files}
    except (OSError, SyntaxError, ValueError):
        return False
    return all(_as_compiled(module, compiled) for module in modules.values())


def _file(module: types.ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def _as_compiled(module: types.ModuleType, compiled: Mapping[Path, types.CodeType]) -> bool:
    """Tell whether the functions and constants that a module holds are those of the files they come from."""
    for value in _functions(vars(module)):
        code = value.__code__
        whole = compiled.get(Path(code.co_filename).resolve())
        if whole is not None and "<" not in code.co_qualname and code not in _inner(whole):
            return False
    whole = compiled.get(_file(module) or Path())
    constants = _constants(whole) if whole is not None else ()
    held = ((vars(module).get(name, value), value) for name, value in constants)
    return all(type(now) is type(value) and now == value for now, value in held)


def _functions(names: Mapping[str, Any]) -> Iterator[types.FunctionType]:
    """Give the functions of a module and the methods of its classes."""
    for value in list(names.values()):
        inner = inspect.unwrap(value) if isinstance(value, types.FunctionType) else value
        if isinstance(inner, types.FunctionType):
            yield inner
        elif inspect.isclass(inner) and inner.__module__ == names.get("__name__"):
            yield from (method for method in vars(inner).values() if isinstance(method, types.FunctionType))


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _inner(constant)


def _constants(module: types.CodeType) -> Iterator[tuple[str, Any]]:
    """Give the names that a module's lines set once to a number or a text, with these."""
    lines = list(dis.get_instructions(module))
    stored = [line.argval for line in lines if line.opname == "STORE_NAME"]
    inner = (line for code in _inner(module) for line in dis.get_instructions(code))
    changed = {line.argval for line in inner if line.opname == "STORE_GLOBAL"}
    for before, line in itertools.pairwise(lines):
        if line.opname == "STORE_NAME" and before.opname.startswith(("LOAD_CONST", "LOAD_SMALL_INT")):
            name, value = line.argval, before.argval
            if stored.count(name) == 1 and name not in changed and isinstance(value, bool | int | float | str):
                yield name, value


class _Reader:
    """Reads values into a hash; an object met again counts by where it was met first."""

    def __init__(self) -> None:
        self.hasher = hashlib.blake2b(digest_size=16)
        self.blind: list[str] = []
        self._met: dict[int, int] = {}
        self._kept: list[Any] = []

    def read(self, value: Any, name: str) -> None:
        """Read a value; `name` is what it is called, for people."""
        if isinstance(value, _PLAIN) and not isinstance(value, Enum):
            self._write(type(value).__name__, repr(value))
            return
        if not isinstance(value, tuple | frozenset | types.CodeType):
            if id(value) in self._met:
                self._write("again", str(self._met[id(value)]))
                return
            self._met[id(value)] = len(self._met)
            # Kept, or another object might get its number.
            self._kept.append(value)
        self._write(type(value).__qualname__)
        try:
            self._content(value, name)
        except Exception as error:
            # Whatever a value's own methods raise: it cannot be read, which is told.
            self._write("blind", type(error).__name__)
            self.blind.append(f"{name or 'it'} (a {type(value).__name__})")

    def _content(self, value: Any, name: str) -> None:
        if isinstance(value, types.CodeType):
            self._code(value)
        elif isinstance(value, tuple | list):
            self._all(value, name)
        elif isinstance(value, set | frozenset):
            self._write(*sorted(live_digest(item)[0] for item in value))
        elif isinstance(value, dict | types.MappingProxyType):
            self._all([part for item in value.items() for part in item], name)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.MethodType):
            self._all([value.__func__, value.__self__], name)
        elif isinstance(value, functools.partial):
            self._all([value.func, value.args, value.keywords], name)
        elif inspect.isclass(value):
            self._class(value)
        elif isinstance(value, property | functools.cached_property):
            self._all([getattr(value, key, None) for key in ("fget", "fset", "func")], name)
        elif hasattr(value, "__wrapped__"):
            # What functools.lru_cache, staticmethod and the like made of a function.
            self.read(value.__wrapped__, name)
        elif inspect.isroutine(value) or inspect.isdatadescriptor(value):
            self._write(str(getattr(value, "__module__", "")), getattr(value, "__qualname__", ""))
            self.read(getattr(value, "__self__", None), name)
        elif (array := _array(value)) is not None:
            self._write(*array)
        else:
            self._object(value, name)

    def _function(self, function: types.FunctionType) -> None:
        if self._installed(function.__globals__.get("__name__"), function.__qualname__):
            return
        self._code(function.__code__)
        self._all([function.__defaults__, function.__kwdefaults__, function.__dict__], function.__name__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._write("closure", name)
            # A name of the enclosing function that has no value yet raises.
            self.read(cell.cell_contents, name)
        for name in _global_names(function.__code__):
            if name in function.__globals__:
                self._write("global", name)
                self.read(function.__globals__[name], name)

    def _class(self, kind: type) -> None:
        if self._installed(kind.__module__, kind.__qualname__):
            return
        own = {name: part for name, part in vars(kind).items() if not name.startswith(("__", "_abc_"))}
        own |= {name: part for name, part in vars(kind).items() if isinstance(part, types.FunctionType)}
        self._all([kind.__qualname__, kind.__bases__, own], kind.__name__)

    def _installed(self, module: Any, name: str) -> bool:
        """Read what is installed by its name, ablata's own with its code; False for what is the user's."""
        known = sys.modules.get(str(module))
        if known is None or str(module) == "__main__" or is_own(known):
            return False
        self._write("installed", str(module), name)
        if str(module).partition(".")[0] == PACKAGE and not str(module).endswith(".hooks"):
            self._write(code_fingerprint())
        return True

    def _code(self, code: types.CodeType) -> None:
        """Read compiled code, without the lines and the file that it was compiled from."""
        self._write(sys.version.partition(" ")[0], code.co_name, code.co_code)
        self._all([code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars], code.co_name)
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._all([*counts, *code.co_consts], code.co_name)

    def _module(self, module: types.ModuleType) -> None:
        own = is_own(module)
        self._write(module.__name__.rpartition(".")[2] if own else module.__name__)
        if own:
            self._write(files_digest(module_files([module])))

    def _object(self, value: Any, name: str) -> None:
        """Read an object as what a copy would be made of: class, arguments, state, items (`object.__reduce_ex__`)."""
        made = value.__reduce_ex__(4)
        if isinstance(made, str):
            self._write(made)
            return
        function, arguments, state, items, pairs = [*made, None, None, None][:5]
        self._all([function, arguments, state, list(items or ()), list(pairs or ())], name)

    def _all(self, values: Sequence[Any], name: str) -> None:
        self._write(str(len(values)))
        for value in values:
            self.read(value, name)

    def _write(self, *parts: str | bytes) -> None:
        for part in parts:
            content = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
            self.hasher.update(f"{len(content)}:".encode())
            self.hasher.update(content)


def _global_names(code: types.CodeType) -> Iterable[str]:
    """Return the globals that a function's code, inner functions included, reads and does not set itself."""
    lines = [line for one in (code, *_inner(code)) for line in dis.get_instructions(one)]
    loaded = {str(line.argval) for line in lines if line.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return sorted(loaded - {str(line.argval) for line in lines if line.opname == "STORE_GLOBAL"})


def _array(value: Any) -> tuple[str | bytes, ...] | None:
    """Return the content of an array of numbers or a tensor; None for anything else."""
    library, name = type(value).__module__.partition(".")[0], type(value).__name__
    if library == "numpy" and name == "ndarray" and not value.dtype.hasobject:
        return str(value.dtype), str(value.shape), value.tobytes()
    if library == "torch" and hasattr(value, "untyped_storage"):
        plain = value.detach().cpu().contiguous().flatten().view(sys.modules["torch"].uint8)
        return str(value.dtype), str(tuple(value.shape)), str(value.requires_grad), plain.numpy().tobytes()
    return None
