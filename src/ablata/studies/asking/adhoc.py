"""Studies of recipes asked on the command line, without a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.recipes.index import load_recipe
from ablata.stats import Mode
from ablata.studies.asking.naming import aa_question, named_by_content
from ablata.studies.asking.typed import StudyTerms, command_line, typed_changes
from ablata.studies.study import CONTROL, Study
from ablata.trainers.any import Outside


def ask(recipe: str, sets: Sequence[str], arms: Sequence[str], terms: StudyTerms) -> Study:
    """Make a study from the parts of a command line.

    Args:
        recipe: the control's recipe.
        sets: `key=value` for the control and every arm.
        arms: `name:key=value`; a name may come again to add a key.
        terms: how it is decided; with factors there are no arms.

    Raises:
        SettingsError: something is missing or wrong.
    """
    factors = terms.factors
    if factors and arms:
        raise SettingsError(
            "A study has arms or factors", found=f"--arm {arms[0]} and --factor {factors[0]}", do="leave one out"
        )
    alone = terms.aa and not (arms or factors)
    changes = {} if alone else typed_changes(factors, "--factor") if factors else typed_changes(arms, "--arm")
    parts = terms.study_parts()
    control = load_recipe(recipe, sets)
    question = aa_question(control.name) if terms.aa else f"Does changing {control.name} help: {', '.join(changes)}?"
    typed = {"--recipe": recipe, "--set": sets, "--arm": arms, **terms.typed()}
    made = Study(
        **parts,
        question=terms.question or question,
        control=control,
        arms={} if factors else changes,
        factors=changes if factors else {},
        lower=terms.lower,
        commands=(command_line(["ablata", "study", "run"], typed),),
    )
    return made if terms.name else named_by_content(made, control.name, terms.budget)


def change(study: Study, sets: Sequence[str], terms: StudyTerms) -> Study:
    """Return a written study with parts changed on the command line; None and False leave a part as it is."""
    kept = ("seeds", "first_seed", "margin", "metric", "name", "question", "lower", "noise", "clusters")
    changed: dict[str, Any] = {key: value for key in kept if (value := getattr(terms, key)) is not None}
    changed |= {key: True for key in ("fixed", "extendable") if getattr(terms, key)}
    if terms.screen:
        changed["mode"] = Mode.SCREEN
    if terms.begin:
        changed["begin"] = tuple(terms.begin)
    if sets:
        control = study.recipes[CONTROL]
        changed["control"] = control.arm(sets) if isinstance(control, Outside) else override(control, sets)
    return replace(study, **changed) if changed else study
