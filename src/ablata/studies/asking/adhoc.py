"""Studies asked on the command line, without a file."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.base.parts import user_modules
from ablata.base.user_code import files_digest, module_files
from ablata.recipes.index import load_recipe
from ablata.stats import Mode
from ablata.studies.asking.naming import aa_question
from ablata.studies.asking.typed import typed_changes
from ablata.studies.metric import margin_text
from ablata.studies.study import CONTROL, Study, study_name
from ablata.trainers.any import Outside


def ask(
    recipe: str,
    sets: Sequence[str],
    arms: Sequence[str] = (),
    *,
    factors: Sequence[str] = (),
    cells: int | None = None,
    seeds: int | None,
    margin: float | str | None,
    metric: str | None = None,
    lower: bool | None = None,
    first_seed: int | None = None,
    screen: bool = False,
    fixed: bool = False,
    extendable: bool = False,
    name: str | None = None,
    question: str | None = None,
    budget: str | None = None,
    aa: bool = False,
    noise: str | None = None,
    clusters: str | None = None,
) -> Study:
    """Make a study from the parts of a command line.

    Args:
        recipe: the control's recipe.
        sets: `key=value` for the control and every arm.
        arms: `name:key=value`; a name may come again to add a key.
        factors: in place of arms, changes that are switched on and off together, written in the same way.
        cells: how many combinations of the factors run.
        seeds: must be given.
        margin, metric, lower, noise, clusters: see `Study`.
        first_seed, screen, fixed, extendable, name, question: see `Study`; name and question are made up if None.
        budget: the time as typed that will tell the number of seeds, `seeds` standing for it; None: `seeds` is it.
        aa: the control alone, see `Study`.

    Raises:
        SettingsError: something is missing or wrong.
    """
    alone = aa and not (arms or factors)
    changes = {} if alone else typed_changes(factors, "--factor") if factors else typed_changes(arms, "--arm")
    if factors and arms:
        raise SettingsError("A study has arms or factors", found=f"--arm {arms[0]} and --factor {factors[0]}")
    if seeds is None:
        raise SettingsError(
            "A study needs its number of seeds before it starts",
            found="no --seeds",
            do="for example --seeds 5; --budget 30m says a time instead, --pilot 3 helps to choose",
        )
    control = load_recipe(recipe, sets)
    words = ["ablata", "study", "run", "--recipe", recipe]
    words += [word for text in sets for word in ("--set", text)] + [word for text in arms for word in ("--arm", text)]
    words += [word for text in factors for word in ("--factor", text)] + (["--cells", str(cells)] if cells else [])
    words += ["--budget", budget] if budget else ["--seeds", str(seeds)]
    words += [*([] if margin is None else ["--margin", margin_text(margin)])]
    words += ["--metric", metric] if metric else []
    words += [] if lower is None else ["--lower" if lower else "--higher"]
    words += ["--first-seed", str(first_seed)] if first_seed else []
    words += ["--noise", noise] if noise else []
    words += ["--clusters", clusters] if clusters else []
    words += [*(["--screen"] if screen else []), *(["--force-fixed"] if fixed else [])]
    words += ["--aa"] if aa else []
    words += ["--extendable"] if extendable else []
    shown = [*words, *(["--name", name] if name else []), *(["--question", question] if question else [])]
    made = Study(
        name=name or "unnamed",
        question=question
        or (aa_question(control.name) if aa else f"Does changing {control.name} help: {', '.join(changes)}?"),
        control=control,
        arms={} if factors else changes,
        factors=changes if factors else {},
        cells=cells,
        seeds=seeds,
        first_seed=first_seed or 0,
        margin=margin,
        metric=metric,
        lower=lower,
        mode=Mode.SCREEN if screen else Mode.CLAIM,
        fixed=fixed,
        aa=aa,
        extendable=extendable,
        noise=noise or "scores",  # type: ignore[arg-type]
        clusters=clusters,
        commands=(shlex.join(shown),),
    )
    return made if name else replace(made, name=f"{study_name(control.name)}-{_mark(made, words)}")


def _mark(study: Study, words: Sequence[str]) -> str:
    """Return six digits of what is asked: the command, and what the user's files hold. An edited file asks anew."""
    files = module_files(user_modules(list(study.recipes.values())))
    told = shlex.join([*words, *([files_digest(files)] if files else [])])
    return hashlib.blake2b(told.encode(), digest_size=3).hexdigest()


def change(
    study: Study,
    sets: Sequence[str],
    *,
    seeds: int | None = None,
    first_seed: int | None = None,
    margin: float | str | None = None,
    metric: str | None = None,
    lower: bool | None = None,
    screen: bool = False,
    fixed: bool = False,
    extendable: bool = False,
    name: str | None = None,
    question: str | None = None,
    noise: str | None = None,
    clusters: str | None = None,
) -> Study:
    """Return a written study with parts changed on the command line; None and False leave a part as it is."""
    wanted = {"seeds": seeds, "first_seed": first_seed, "margin": margin, "metric": metric, "name": name}
    wanted |= {"question": question, "lower": lower, "noise": noise, "clusters": clusters}
    changed: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
    if screen:
        changed["mode"] = Mode.SCREEN
    if fixed:
        changed["fixed"] = True
    if extendable:
        changed["extendable"] = True
    if sets:
        control = study.recipes[CONTROL]
        changed["control"] = control.arm(sets) if isinstance(control, Outside) else override(control, sets)
    return replace(study, **changed) if changed else study
