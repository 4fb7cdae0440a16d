"""A comparison of functions: each arm's called with several seeds, judged as any study is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablata.api.extending import extend_study
from ablata.api.opening import open_ledger, warn
from ablata.api.studies import StudyResult, run_study
from ablata.base.errors import SettingsError, listing
from ablata.base.overrides import Overrides
from ablata.base.user_code import refuse_while_importing
from ablata.records.ledger import Ledger
from ablata.records.rows import StudyRow
from ablata.stats import Mode, rules_of
from ablata.stats.waves import EXTENDABLE
from ablata.studies.asking.naming import named_by_content
from ablata.studies.study import Study
from ablata.studies.workers.in_process import first_scores
from ablata.trainers.function import Function, several_scores
from ablata.trainers.given import lower_is_better

if TYPE_CHECKING:
    from rich.console import Console


def compare(
    function: Callable[..., Any],
    arms: Mapping[str, Overrides | Callable[..., Any]] | None = None,
    *,
    seeds: int,
    factors: Mapping[str, Overrides] | None = None,
    cells: int | None = None,
    margin: float | str | None = None,
    score: str | None = None,
    lower: bool | None = None,
    workers: int = 0,
    first_seed: int = 0,
    screen: bool = False,
    fixed: bool = False,
    extendable: bool = False,
    guards: Sequence[str] = (),
    timeout: float | None = None,
    inputs: Sequence[str | Path] = (),
    name: str | None = None,
    extend: str | None = None,
    question: str | None = None,
    home: str | Path | None = None,
    progress: bool | Console | None = None,
    ledger: Ledger | None = None,
) -> StudyResult:
    """Call functions that train with several seeds each and say which is better; interrupted, the same call goes on.

        def train(seed, lr=0.1, width=64):
            ...
            return {"acc": acc}

        ablata.compare(train, {"wide": {"width": 128}}, seeds=5, margin=0.5)

    A function's arguments beside `seed` are its settings; with an argument `run_dir` it is given the run's folder, too.
    It returns its score, or scores by name; `ablata.log` takes curves. Nothing is seeded: it seeds what it uses. What
    it prints is kept in the run's folder. A function that raises, or whose score is not finite, is a failed run. Runs
    equal in code, values, seed and machine are used again; an edited function's are not.

    Args:
        function: the control.
        arms: for each arm other values of the control's arguments, or another function.
        seeds: the most seeds an arm may use.
        factors: in place of arms, values that are switched on and off together with those of the other factors, each
            judged averaged over the others.
        cells: how many combinations of the factors run; None: the fewest that keep them apart.
        margin: the largest difference that does not matter, in the score's unit, or `"10%"` of the control's mean;
            None: nothing is called equivalent.
        score: the score that is judged; None: the one that the function returns.
        lower: lower scores are better; None: higher ones, unless the name sounds like a loss, which is refused.
        workers: worker processes, for functions that these can import from a file; 0: in this process.
        first_seed: seeds count up from here.
        screen: 20% false verdicts in place of 5%, which only lean.
        fixed: judge once, after all seeds.
        extendable: keep most of the 5% for more seeds later.
        guards: quantities that an arm may not worsen by more than an allowed amount, such as `seconds:+3%` or another
            score of the functions, `latency:+5%`; what is better goes on until they are answered.
        timeout: seconds after which a run has failed; in this process only on the main thread.
        inputs: files and folders that the functions read; runs on other content of theirs are not used again.
        name: of the study in the ledger; None: made up from the function's name and all that is asked.
        extend: name of a study of these functions that has ended: its undecided arms go on to `seeds` seeds.
        question: what is asked, for the report; None: made up.
        home: the lab's home folder; None: `ABLATA_HOME`, or `.ablata`.
        progress: True: shown; False: not; None: shown in a terminal and in a notebook. Or the console to show it on.
        ledger: where it is recorded; None: the lab's own.

    Raises:
        SettingsError: an argument, a function or a score is wrong; nothing was started.
        RunError: the control failed; what it said, and where all it printed is.
        KeyboardInterrupt: interrupted; what has ended is recorded.
    """
    if bool(arms) == bool(factors):
        raise SettingsError(
            "There must be an arm to compare with the control, or factors",
            found="both" if arms else "none", do='{"wide": {...}}, or factors={"wide": {...}, "slow": {...}}',
        )  # fmt: skip
    refuse_while_importing()
    control = Function.of(function, score=score, lower=lower, timeout=timeout, inputs=inputs, here=workers == 0)
    study = Study(
        name=name or "unnamed",
        question=question or f"Does it help: {', '.join(map(str, arms or factors or ()))}?",
        control=control,
        arms=arms or {},
        factors=factors or {},
        cells=cells,
        seeds=seeds,
        first_seed=first_seed,
        margin=margin,
        mode=Mode.SCREEN if screen else Mode.CLAIM,
        fixed=fixed,
        extendable=extendable,
        guards=tuple(guards),
    )
    given = {
        "seeds": seeds, "margin": margin, "score": score, "lower": lower, "workers": workers or None,
        "first_seed": first_seed or None, "screen": screen or None, "fixed": fixed or None,
        "extendable": extendable or None, "guards": list(guards) or None,
        "timeout": timeout, "inputs": [str(one) for one in inputs] or None,
        "name": name, "cells": cells,
    }  # fmt: skip
    with open_ledger(ledger) if ledger is not None or home is None else Ledger(home=Path(home)) as opened:
        if control.is_score_unclear and workers == 0:
            control = with_first_score(opened, control, first_seed, lower)
            study = replace(study, control=control)
        study = replace(study, commands=(_call(control, study, given),))
        study = study if name else named_by_content(study, control.name)
        _warn(study)
        if extend is not None:
            study = _as_recorded(opened.studies.get(extend), study, question)
            return extend_study(study, seeds, workers=workers, progress=progress, ledger=opened)
        return run_study(study, workers=workers, progress=progress, ledger=opened)


def _as_recorded(known: StudyRow, study: Study, question: str | None) -> Study:
    """Return a study as its first call asked for it."""
    return replace(
        study, name=known.name, question=question or known.question, seeds=rules_of(known.spec)[0].seeds,
        extendable=bool(known.spec.get(EXTENDABLE)),
    )  # fmt: skip


def with_first_score(ledger: Ledger, control: Function, seed: int, lower: bool | None) -> Function:
    """Return the control with the score that its first run returns, where its text does not tell.

    Raises:
        SettingsError: it returns several.
    """
    names = first_scores(ledger, control, seed)
    if len(names) > 1:
        raise several_scores(control.name, names)
    return control.model_copy(update={"score": names[0], "lower": lower_is_better(names[0], lower)} if names else {})


def _call(control: Function, study: Study, given: Mapping[str, Any]) -> str:
    """Return what to type to ask again."""
    changes = ", ".join(f"{arm!r}: {_change(change)}" for arm, change in (study.factors or study.arms).items())
    options = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
    return f"ablata.compare({control.name}, {'factors=' if study.factors else ''}{{{changes}}}, {options})"


def _change(change: Any) -> str:
    if isinstance(change, Mapping):
        return "{" + ", ".join(f"{name!r}: {_change(value)}" for name, value in change.items()) + "}"
    plain = change.func if isinstance(change, functools.partial) else change
    return str(getattr(plain, "__qualname__", None) or repr(plain))


def _warn(study: Study) -> None:
    """Tell what a verdict will rest on that nobody said."""
    functions = {arm: one for arm, one in study.recipes.items() if isinstance(one, Function)}
    if seedless := [arm for arm, one in functions.items() if not one.is_seeded]:
        warn(
            f"unseeded repeats: {listing(seedless)} takes no argument `seed`, so its runs differ by chance alone and "
            "are compared unpaired"
        )
    if blind := [
        f"{function.name} uses {listing(function.blind)}" for function in functions.values() if function.blind
    ]:
        warn(
            f"{blind[0]}, which cannot be told from another one of that name: these runs are not used again; make it "
            "inside the function"
        )
