"""A base for tasks of a user's own: a network, map-style data sets, a loss and metrics; the rest is handled."""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.tasks.simple.task import SimpleRecipe as SimpleRecipe
    from ablata.tasks.simple.task import SimpleTask as SimpleTask

_PLACES = {"SimpleRecipe": "ablata.tasks.simple.task", "SimpleTask": "ablata.tasks.simple.task"}

__all__ = ["SimpleRecipe", "SimpleTask"]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
