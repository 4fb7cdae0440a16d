"""Families of settings classes: all that derive from one base in the modules of a package, found by looking there.

    AnyPixelLoss = Annotated[family(PixelLossSettings, PixelCrossEntropy, "ablata.losses.segmentation"), OpenPart(...)]

A class belongs to it by being there: a new one is a file of its own, and nothing else names it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any, Literal, Union, get_origin

from ablata.base.settings import Settings


def family(base: type[Settings], default: type[Settings], *packages: str) -> Any:
    """Return the union of the settings classes that derive from a base and have a `kind` of their own.

    Args:
        base: what they derive from.
        default: the first of the union, which a tree without a `kind` stands for.
        packages: whose modules are looked through, folders below them too, in this order; modules by name, classes as
            they are written.
    """
    members: dict[type[Settings], None] = {default: None}
    for package in packages:
        folder = importlib.import_module(package)
        for entry in pkgutil.walk_packages(folder.__path__, f"{package}."):
            module = importlib.import_module(entry.name)
            for member in vars(module).values():
                if inspect.isclass(member) and issubclass(member, base) and member.__module__ == module.__name__:
                    kind = member.model_fields.get("kind")
                    if kind is not None and get_origin(kind.annotation) is Literal:
                        members[member] = None
    return Union[tuple(members)]  # noqa: UP007  # how many there are is not known here
