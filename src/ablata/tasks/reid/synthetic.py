"""A re-identification recipe on generated persons, to see that it builds and learns at all."""

from __future__ import annotations

from typing import Any

from ablata.data.synthetic.persons import Persons
from ablata.tasks.distillation.settings import Refinement


def synthetic_parts(data: Any, refine: Refinement | None) -> dict[str, Any]:
    """Return the settings that change where a recipe of these is trained on generated images."""
    return {
        "data": _persons(data),
        "refine": refine and refine.synthetic(refine.target and _persons(refine.target)),
    }


def _persons(data: Any) -> Persons:
    domain = data.domain if isinstance(data, Persons) else "winter"
    return Persons(domain=domain, train=8, val=4, augment=data.augment)
