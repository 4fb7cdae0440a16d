"""A proposed recipe: its settings with their reasons, and the file that they become."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Self

from ablata.base.overrides import override
from ablata.data.formats.recognize import Recognized
from ablata.tasks.any import recipe_classes

TASKS = {
    "classify": "classification",
    "segment": "semantic segmentation",
    "detect": "object detection",
    "reidentify": "re-identification",
}
"""What can be trained, in words."""


@dataclass(frozen=True)
class Choice:
    """One setting of a proposed recipe, `key=value`, and why it has that value."""

    setting: str
    reason: str

    @property
    def key(self) -> str:
        """Return the setting's key."""
        return self.setting.partition("=")[0]


@dataclass(frozen=True)
class Proposal:
    """A recipe for a folder.

    Args:
        found: what the folder is.
        others: further ways to train on it.
        lines: what it holds, in words.
        wrong: what must be repaired before it can be trained on.
        choices: the recipe's settings.
        steps: optimiser steps that fit into the time.
        seconds_a_step: measured here.
        seconds_an_evaluation: measured on some images.
        memory: peak of the few steps, in bytes.
        cautions: what its reader should look at before the training.
        scored: images to score on.
    """

    found: Recognized
    others: tuple[Recognized, ...]
    lines: tuple[str, ...]
    wrong: tuple[str, ...]
    choices: tuple[Choice, ...]
    steps: int = 0
    seconds_a_step: float = 0.0
    seconds_an_evaluation: float = 0.0
    memory: float = 0.0
    cautions: tuple[str, ...] = ()
    scored: int = 0

    def recipe(self) -> Any:
        """Return the recipe that the choices make."""
        return recipe_of(self.found.task, [one.setting for one in self.choices])

    def with_choice(self, setting: str, reason: str) -> Self:
        """Return the proposal with another value of a setting, in its place."""
        changed = Choice(setting, reason)
        if all(one.key != changed.key for one in self.choices):
            return replace(self, choices=(*self.choices, changed))
        return replace(self, choices=tuple(changed if one.key == changed.key else one for one in self.choices))

    def text(self) -> str:
        """Return the recipe as a file that `ablata train` takes and that can be edited."""
        kind = recipe_class(self.found.task)
        rows = "".join(
            f"    # {' '.join(one.reason.split())}\n    {json.dumps(one.setting, ensure_ascii=False)},\n"
            for one in self.choices
        )
        told = "".join(f"\n{' '.join(line.split())}\n" for line in self.cautions)
        head = f'"""A first recipe for {self.found.words}, as `ablata start` proposed it; edit it at will.'
        return (
            f'{head}{told and chr(10)}{told}"""\n\n'
            "from ablata.base.overrides import override\n"
            f"from {kind.__module__} import {kind.__name__}\n\n"
            f"CHOICES = [\n{rows}]\n\n\n"
            f"def recipe() -> {kind.__name__}:\n"
            f'    """{TASKS[self.found.task].capitalize()} of a folder of one\'s own."""\n'
            f"    return override({kind.__name__}(), CHOICES)\n"
        )


def recipe_class(task: str) -> Any:
    """Return the class of a task's recipes."""
    return next(kind for kind in recipe_classes() if kind.model_fields["task"].default == task)


def recipe_of(task: str, settings: list[str]) -> Any:
    """Return a task's recipe with these settings."""
    # Looking at boxes needs no masks, and some sets have none.
    first = ["model.masks=null"] if task == "detect" else []
    return override(recipe_class(task)(), [*first, *settings])
