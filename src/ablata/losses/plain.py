"""Plain losses: what a function or module class of a user's own must be to stand for one."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from torch import nn

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart, settings_for

P = TypeVar("P", bound=PlainPart)


def settings_of_loss(base: type[P], thing: Any, reference: str, inputs: str) -> type[P]:
    """Return the settings class of a function of two inputs, which come first, or of a module class.

    Args:
        base: class to derive from.
        thing: the function or class.
        reference: under which it is found again.
        inputs: the function's inputs: `logits, labels`.

    Raises:
        SettingsError: it is neither.
    """
    if inspect.isclass(thing) and issubclass(thing, nn.Module):
        return settings_for(base, thing, reference)
    if inspect.isfunction(thing):
        return settings_for(base, thing, reference, tuple(inspect.signature(thing).parameters)[:2])
    raise SettingsError(
        f"A loss must be a function of {inputs.replace(', ', ' and ')}, or an nn.Module class",
        found=reference,
        do=f"def loss({inputs}): ...",
    )
