"""Studies asked on the command line, without a file."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import replace

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.recipes.index import load_recipe
from ablata.stats import Mode
from ablata.studies.study import Study


def ask(
    recipe: str,
    sets: Sequence[str],
    arms: Sequence[str],
    *,
    seeds: int | None,
    margin: float | None,
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
        seeds, margin: must be given; what a difference is worth nobody can guess.
        screen, fixed, name, question: see `Study`; name and question are made up if None.

    Raises:
        SettingsError: something is missing or wrong.
    """
    changes = _arms(arms)
    if margin is None or seeds is None:
        raise SettingsError(
            "A study needs --seeds and --margin before it starts",
            found=f"--seeds {seeds}, --margin {margin}",
            do="the margin is the largest difference that does not matter, for example --seeds 5 --margin 0.5",
        )
    control = load_recipe(recipe, sets)
    words = [*(f"--set {shlex.quote(text)}" for text in sets), *(f"--arm {shlex.quote(text)}" for text in arms)]
    flags = [*(["--screen"] if screen else []), *(["--force-fixed"] if fixed else [])]
    command = " ".join(["ablata study run --recipe", shlex.quote(recipe), *words, f"--seeds {seeds} --margin {margin:g}", *flags])
    mark = hashlib.blake2b(command.encode(), digest_size=3).hexdigest()
    return Study(
        name=name or f"{control.name.rpartition('/')[2].replace(':', '-')}-{mark}",
        question=question or f"Does changing {control.name} help: {', '.join(changes)}?",
        control=control,
        arms=changes,
        seeds=seeds,
        margin=margin,
        mode=Mode.SCREEN if screen else Mode.CLAIM,
        fixed=fixed,
        commands=(command,),
    )


def change(
    study: Study,
    sets: Sequence[str],
    *,
    seeds: int | None,
    margin: float | None,
    screen: bool,
    fixed: bool,
    name: str | None,
    question: str | None,
) -> Study:
    """Return a written study with parts changed on the command line; None and False leave a part as it is."""
    wanted = {"seeds": seeds, "margin": margin, "name": name, "question": question}
    changed = {key: value for key, value in wanted.items() if value is not None}
    if screen:
        changed["mode"] = Mode.SCREEN
    if fixed:
        changed["fixed"] = True
    if sets:
        changed["control"] = override(study.control, sets)
    return replace(study, **changed) if changed else study


def _arms(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    arms: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, colon, setting = text.partition(":")
        if not colon or not name or "=" not in setting:
            raise SettingsError(
                "An arm must be written NAME:key=value", found=f"--arm {text}", do="for example --arm noflip:data.augment.flip=false"
            )
        arms[name] = (*arms.get(name, ()), setting)
    if not arms:
        raise SettingsError("A study must have at least one arm", found="no --arm", do="--arm NAME:key=value")
    return arms
