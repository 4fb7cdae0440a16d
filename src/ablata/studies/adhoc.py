"""Studies asked on the command line, without a file."""

from __future__ import annotations

import hashlib
import re
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
from ablata.studies.study import CONTROL, Study, study_name
from ablata.trainers.any import Outside


def ask(
    recipe: str,
    sets: Sequence[str],
    arms: Sequence[str],
    *,
    seeds: int | None,
    margin: float | None,
    first_seed: int | None = None,
    screen: bool = False,
    fixed: bool = False,
    name: str | None = None,
    question: str | None = None,
) -> Study:
    """Make a study from the parts of a command line.

    Args:
        recipe: the control's recipe.
        sets: `key=value` for the control and every arm.
        arms: `name:key=value`; a name may come again to add a key.
        seeds: must be given.
        margin: see `Study`.
        first_seed, screen, fixed, name, question: see `Study`; name and question are made up if None.

    Raises:
        SettingsError: something is missing or wrong.
    """
    changes = _arms(arms)
    if seeds is None:
        raise SettingsError(
            "A study needs its number of seeds before it starts",
            found="no --seeds",
            do="for example --seeds 5; with --margin 0.5, too, arms that differ by less can be called equivalent",
        )
    control = load_recipe(recipe, sets)
    words = ["ablata", "study", "run", "--recipe", recipe]
    words += [word for text in sets for word in ("--set", text)] + [word for text in arms for word in ("--arm", text)]
    words += ["--seeds", str(seeds), *([] if margin is None else ["--margin", f"{margin:g}"])]
    words += ["--first-seed", str(first_seed)] if first_seed else []
    words += [*(["--screen"] if screen else []), *(["--force-fixed"] if fixed else [])]
    shown = [*words, *(["--name", name] if name else []), *(["--question", question] if question else [])]
    made = Study(
        name=name or "unnamed",
        question=question or f"Does changing {control.name} help: {', '.join(changes)}?",
        control=control,
        arms=changes,
        seeds=seeds,
        first_seed=first_seed or 0,
        margin=margin,
        mode=Mode.SCREEN if screen else Mode.CLAIM,
        fixed=fixed,
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
    margin: float | None = None,
    screen: bool = False,
    fixed: bool = False,
    name: str | None = None,
    question: str | None = None,
) -> Study:
    """Return a written study with parts changed on the command line; None and False leave a part as it is."""
    wanted = {"seeds": seeds, "first_seed": first_seed, "margin": margin, "name": name, "question": question}
    changed: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
    if screen:
        changed["mode"] = Mode.SCREEN
    if fixed:
        changed["fixed"] = True
    if sets:
        control = study.recipes[CONTROL]
        changed["control"] = control.arm(sets) if isinstance(control, Outside) else override(control, sets)
    return replace(study, **changed) if changed else study


_SECOND_SETTING = re.compile(r",\s*[A-Za-z_]\w*(\.\w+)*=")
"""A comma after which another key=value begins."""


def _arms(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    arms: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, colon, setting = text.partition(":")
        if not colon or not name or "=" not in setting or "=" in name:
            raise SettingsError(
                "An arm must be written NAME:key=value",
                found=f"--arm {text}",
                do="for example --arm noflip:data.augment.flip=false",
            )
        if (joined := _SECOND_SETTING.search(setting)) and not setting.partition("=")[2].startswith(("{", "[", '"')):
            parts = (setting[: joined.start()], setting[joined.start() + 1 :].lstrip())
            raise SettingsError(
                "An --arm must hold one setting; a name that comes again adds another",
                found=f"--arm {text}",
                do=" ".join(f"--arm {name}:{part}" for part in parts),
            )
        key = setting.partition("=")[0].strip()
        if twice := [one for one in arms.get(name, ()) if one.partition("=")[0].strip() == key]:
            raise SettingsError(
                "An arm must set each key once",
                found=f"arm {name}: {twice[0]} and {setting}",
                do="give each value an arm of its own",
            )
        arms[name] = (*arms.get(name, ()), setting)
    if not arms:
        raise SettingsError("A study must have at least one arm", found="no --arm", do="--arm NAME:key=value")
    return arms
