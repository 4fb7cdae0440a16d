"""A fine-tuning start that the arms of a study share: trained once a seed, the parent of their runs.

Unlike arms that act late (`forks`), which go on with the training they share, these begin anew with its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ablata.base.errors import SettingsError, listing
from ablata.base.overrides import override
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

BEGIN = "begin"
"""The key of a study's specification that says how its beginning differs from its control."""


def begun(control: Recipe | Outside, changes: Sequence[str]) -> Recipe | Outside:
    """Return the control's recipe as one that begins with the weights of a first training.

    Args:
        control: as asked for.
        changes: overrides that make the first training of it; none: it begins as it is.

    Raises:
        SettingsError: it is no recipe, starts from another training already, or a change does not fit.
    """
    if not changes:
        return control
    if isinstance(control, Outside):
        raise SettingsError(
            "A common beginning is for recipes: what a program can begin with, nobody else knows",
            found=f"--begin {changes[0]} for {control.name}",
            do="leave --begin out, or let the program load what it begins with itself",
        )
    if control.start is None and (first := override(control, changes)) == control:
        raise SettingsError("A common beginning must differ from the control", found=listing(changes),
                            do="for example --begin freeze=backbone --begin train.epochs=2")  # fmt: skip
    if control.start is not None and control.start.first is not None:
        return control
    if control.start is not None or control.parent() is not None:
        raise SettingsError(
            "A common beginning is for a recipe that begins anew",
            found=f"{control.name}, which starts from another training",
            do="start=null, or leave --begin out",
        )
    return control.begun_with(first)


def begun_alike(arm: Recipe | Outside, control: Recipe | Outside) -> Recipe | Outside:
    """Return an arm that is a recipe of its own with the beginning of the control, where that has one."""
    if isinstance(arm, Outside) or isinstance(control, Outside) or arm.start is not None:
        return arm
    shared = control.start is not None and control.start.first is not None
    return arm.model_copy(update={"start": control.start}) if shared else arm


def refuse_other_networks(recipes: Mapping[str, Recipe | Outside], control: str) -> None:
    """Refuse recipes whose networks cannot begin with the weights of their first training.

    Args:
        recipes: of a study, by arm.
        control: the control's name.

    Raises:
        SettingsError: they have other numbers of parameters than it.
    """
    known = recipes[control]
    first = None if isinstance(known, Outside) or known.start is None or known.start.first is None else known.parent()
    if first is None:
        return
    parameters = first.complexity().parameters
    for name, recipe in recipes.items():
        if isinstance(recipe, Outside) or recipe.start is None or recipe.start.first is None:
            continue
        own = recipe.complexity().parameters
        if own != parameters:
            raise SettingsError(
                "Arms that share a beginning must have its network",
                found=f"{name} has {own:,} parameters, the beginning {parameters:,}",
                do="leave --begin out, or change what is no part of the network; start=null as a change trains an arm "
                "without the beginning",
            )  # fmt: skip
