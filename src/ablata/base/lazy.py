"""Public names of a package that are imported when they are first used, so that importing the package is quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from ablata.base.errors import nearest
from ablata.base.libraries import vision_libraries


def lazy_names(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for the `__init__` of a package.

    Args:
        package: the package's `__name__`.
        places: for each public name the module that holds it; a module that is itself the name is written `module:`.

    Returns:
        Two functions; an unknown name is an AttributeError that proposes the nearest one.
    """

    def get(name: str) -> Any:
        """Return what a name of the package stands for; it is imported now."""
        if name not in places:
            close = nearest(name, places) if not name.startswith("_") else None
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}" + (f"; did you mean {close}?" if close else "")
            )
        module, whole, _ = places[name].partition(":")
        with vision_libraries():
            found = importlib.import_module(module)
        value = found if whole else getattr(found, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return get, names
