"""A study that has ended goes on: more seeds, more arms, or a second half of a factorial design's cells."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ablata.base.errors import RecordError, SettingsError
from ablata.base.overrides import Overrides, override, override_texts
from ablata.records.ledger import Ledger
from ablata.records.questions.account import EXPLORATORY
from ablata.records.rows import NewArm, StudyRow
from ablata.records.run_folder.code import arm_code
from ablata.stats import Rule, Verdict, rule_of, rules_of
from ablata.stats.waves import ADDED, EXTENDABLE, WAVES
from ablata.studies.assess import assess
from ablata.studies.chain import lineage
from ablata.studies.factors import Factors
from ablata.studies.identity import refuse_unfit, restore_trainer
from ablata.studies.study import in_arm, new_arm
from ablata.trainers.any import Outside

LATER = "its study was extended after its verdicts were seen"
"""Why an arm is exploratory that goes on in a study whose first plan spent the whole rate."""


def extend(
    ledger: Ledger,
    name: str,
    seeds: int | None = None,
    arms: Mapping[str, Overrides | str] | None = None,
    *,
    trust_code: bool = False,
) -> Rule:
    """Open a study again: for more seeds of the arms that ended undecided, for new arms, or both.

    Verdicts that were given stay. A new arm runs at all seeds, beside the control's runs that are there.

    Args:
        ledger: where it is.
        name: the study.
        seeds: of each arm in all, those that ran counted; None: as many as it had.
        arms: what each new arm changes: overrides of the control; of commands also `git:REF` or another command.
        trust_code: whether code that came with an imported study may be run.

    Returns:
        The rule of the new wave.

    Raises:
        RecordError: there is no such study, it has not ended, it is of scores made elsewhere or factorial, or all of
            its arms are decided.
        SettingsError: it has as many seeds already, or an arm is wrong or there already.
    """
    study = ended_study(ledger, name, ("given", "design", "aa", "pick"))
    known = [rule.seeds for rule in rules_of(study.spec)]
    if not arms and (seeds is None or seeds <= known[-1]):
        raise SettingsError(
            "An extended study has more seeds than before, those that ran counted, or more arms",
            found=f"--seeds {seeds}, and study {name} has {known[-1]}" if seeds is not None else "neither",
            do=f"for example --seeds {2 * known[-1]}",
        )
    if seeds is not None and seeds < known[-1]:
        raise SettingsError(
            "An extended study has no fewer seeds than before",
            found=f"--seeds {seeds}, and study {name} has {known[-1]}",
            do="give more",
        )
    seeds = known[-1] if seeds is None else seeds
    undecided = [arm for arm, end in assess(ledger, name).outcomes().items() if end.verdict is Verdict.UNDECIDED]
    going_on = undecided if seeds > known[-1] else []
    if not going_on and not arms:
        raise RecordError(
            "Only undecided arms go on when a study is extended", found=f"every arm of {name!r} is decided",
            do="another study, with --first-seed beyond these, asks anew",
        )  # fmt: skip
    new = _arms(ledger, name, arms or {}, trust_code=trust_code)
    typed = shlex.join(["ablata", "study", "extend", name, "--seeds", str(seeds), *_typed_arms(arms or {})])
    spec = _continued(study.spec, typed, [*going_on, *(arm.name for arm in new)]) | {WAVES: [*known, seeds]}
    spec["rule"] = {**spec["rule"], "seeds": seeds}
    if new:
        spec[ADDED] = {**spec.get(ADDED, {}), **{arm.name: len(known) for arm in new}}
        spec[EXPLORATORY] = {**spec.get(EXPLORATORY, {}), **_seen_before(ledger, study, new)}
        spec = {key: value for key, value in spec.items() if key != EXPLORATORY or value}
    ledger.studies.extend(name, spec, going_on, new)
    return rules_of(spec)[-1]


def fold_over(ledger: Ledger, name: str, change: str | None = None, *, trust_code: bool = False) -> str:
    """Open a factorial study again with a second half of cells, in which one change is turned round.

    The seeds are those of the first half, whose runs count on. Verdicts that were given stay; what the whole says of
    changes that were undecided is exploratory.

    Args:
        ledger: where it is.
        name: the study.
        change: the one that is turned round; None: that which frees most of the flagged interactions.
        trust_code: whether code that came with an imported study may be run.

    Returns:
        What is freed, in a sentence.

    Raises:
        RecordError: there is no such study, it has not ended, or it is not factorial.
        SettingsError: the design leaves nothing to free, or there is no such change.
    """
    study = ended_study(ledger, name, ("given", "aa", "pick"))
    if "design" not in study.spec:
        raise RecordError(
            "Only a factorial study is folded over",
            found=f"study {name!r} is one of arms",
            do="add arms or seeds: ablata study extend NAME --arm NAME:key=value",
        )
    factors = Factors.from_json(study.spec["design"])
    found = assess(ledger, name).factorial
    if change is None and factors.design.foldable:
        flagged = {pair for one in (found.interactions if found else ()) if one.flagged for pair in one.pairs}
        freed = {at: factors.design.freed(at) for at in range(factors.design.factors)}
        best = max(freed, key=lambda at: (len(flagged.intersection(freed[at])), len(freed[at])))
        change = factors.names[best]
    folded = factors.fold(change or factors.names[0])
    texts = folded.cells()
    fresh = {cell: texts[cell] for cell in list(texts)[factors.design.cells - 1 :]}
    new = _arms(ledger, name, fresh, trust_code=trust_code)
    undecided = [
        factor for at, factor in enumerate(factors.names) if not found or found.factors[at].verdict is Verdict.UNDECIDED
    ]
    typed = f"ablata study extend {name} --foldover --change {change}"
    spec = _continued(study.spec, typed, undecided) | {"design": folded.to_json()}
    ledger.studies.extend(name, spec, [], new)
    return f"{change} is turned round in {len(new)} further cells. {factors.freed_sentence(str(change))}"


def ended_study(ledger: Ledger, name: str, refused: Sequence[str]) -> StudyRow:
    """Return a study that has ended.

    Args:
        ledger: where it is.
        name: its name.
        refused: keys of specifications of kinds that cannot go on.

    Raises:
        RecordError: there is none, it has not ended, or it is of such a kind.
    """
    study = ledger.studies.get(name)
    kinds = {
        "given": "of scores that were made elsewhere",
        "design": "factorial",
        "aa": "of the control alone",
        "pick": "a pick, which claims nothing",
    }
    if kind := next((kinds[key] for key in refused if key in study.spec), None):
        raise RecordError(
            "A study must run its arms to be extended", found=f"study {name!r} is {kind}",
            do=f"ablata study extend {name} --foldover, which runs further combinations" if kind == "factorial" else "",
        )  # fmt: skip
    if study.state != "finished":
        raise RecordError(
            "A study must have ended to be extended", found=f"study {name!r} is {study.state}",
            do=f"ablata study run {name}",
        )  # fmt: skip
    return study


def control_of(ledger: Ledger, name: str, *, trust_code: bool) -> Any:
    """Return the control of a recorded study: a recipe, a command or a function.

    Raises:
        RecordError: it needs code that came with an imported study, and that is not trusted.
        SettingsError: its settings do not fit this version, or a file of the user's is gone.
    """
    row = next(arm for arm in ledger.studies.arms(name) if arm.is_control)
    code = arm_code(ledger, name, row, trust=trust_code, say=lambda line: None)
    made = restore_trainer(row.recipe, source=f"arm {row.name} of study {name}", code=code)
    return made.model_copy(update={"name": row.recipe_name})


def _arms(ledger: Ledger, name: str, changes: Mapping[str, Overrides | str], *, trust_code: bool) -> list[NewArm]:
    """Return new arms of a study.

    Raises:
        SettingsError: an arm is there already, equals another one, or its change is wrong.
        UserError: its data is missing.
    """
    if not changes:
        return []
    control = control_of(ledger, name, trust_code=trust_code)
    present = {arm.recipe_hash: arm.name for arm in ledger.studies.arms(name)}
    made = []
    for arm, change in changes.items():
        with in_arm(arm):
            recipe = control.arm(change) if isinstance(control, Outside) else override(control, change)
        row = new_arm(arm, control, recipe)
        other = present.setdefault(row.recipe_hash, arm)
        if other != arm or arm in {one.name for one in ledger.studies.arms(name)}:
            raise SettingsError(
                "A new arm must differ from those there are, in name and in what it changes",
                found=f"{arm}, equal to {other}" if other != arm else f"an arm {arm}, which {name} has",
                do="give it another name and another change",
            )
        for one in lineage(recipe):
            refuse_unfit(ledger, one, ledger.studies.get(name).spec["first_seed"])
        made.append(row)
    return made


def _typed_arms(changes: Mapping[str, Overrides | str]) -> list[str]:
    """Return new arms as options of the command line."""
    words = []
    for arm, change in changes.items():
        texts = [f"{arm}={change}"] if isinstance(change, str) else [f"{arm}:{text}" for text in override_texts(change)]
        words += [word for text in texts for word in ("--arm", text)]
    return words


def _continued(spec: Mapping[str, Any], typed: str, again: Sequence[str]) -> dict[str, Any]:
    """Return a specification that goes on, with what was typed, and with what is exploratory then."""
    exploratory = dict(spec.get(EXPLORATORY, {}))
    if not spec.get(EXTENDABLE):
        exploratory = dict.fromkeys(again, LATER) | exploratory
    return {
        **spec,
        "commands": [*(spec.get("commands") or []), typed],
        **({EXPLORATORY: exploratory} if exploratory else {}),
    }


def _seen_before(ledger: Ledger, study: StudyRow, new: Sequence[NewArm]) -> dict[str, str]:
    """Return the new arms that have runs at the study's seeds already, as exploratory with the reason."""
    first, seeds = study.spec["first_seed"], rule_of(study.spec).seeds
    found = {}
    for arm in new:
        runs = ledger.runs.find(recipe=arm.recipe_hash, state=("completed", "diverged"))
        if count := len({run.seed for run in runs if first <= run.seed < first + seeds}):
            found[arm.name] = f"{count} of its {seeds} seeds had run before it was added"
    return found
