"""What a study from elsewhere must specify, so that it can be judged and shown here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from ablata.base.errors import RecordError
from ablata.records.ledger import Ledger
from ablata.records.moving.exporting import StudyFile
from ablata.records.questions.account import EarlierVerdict
from ablata.records.rows import GIVEN_CODE
from ablata.stats import FactorialResult, FixedResult, Mode, Replay, Rule, procedure_of, rule_of, rules_of
from ablata.stats.waves import waves_of
from ablata.studies.assess import cached_calibration, cached_factorial_calibration
from ablata.studies.factors import Factors
from ablata.studies.picking import PICK

MOST_SEEDS = 10_000
"""No study has more; the bound of a rule for millions would be simulated for hours."""
MOST_SIMULATED, FEW_ARMS = 2_000, 20
"""Seeds times arms, of which fewer hardly cost less than 20, beyond which an import does not simulate bounds: it would
take longer than about ten seconds."""


class _MetricSpec(BaseModel):
    key: str
    name: str
    split: str
    protocol: str
    unit: str
    higher_is_better: bool


class _Spec(BaseModel):
    metric: _MetricSpec
    rule: Rule
    mode: Mode
    fixed: bool
    first_seed: int
    commands: list[str]
    seen: dict[str, int] = {}
    exploratory: dict[str, str] = {}
    judged_before: list[EarlierVerdict] = []
    waves: list[int] = []
    added: dict[str, int] = {}
    extendable: bool = False


class _LookResult(BaseModel):
    arms: list[str]
    replay: Replay | None


class _Given(BaseModel):
    claimed: bool
    paired: bool
    source: str


def check_study(file: StudyFile) -> None:
    """Refuse a study whose specification or looks cannot be read by the rule it was made with.

    Raises:
        RecordError: names the field.
    """
    spec = file.study.spec
    try:
        _Spec.model_validate(spec)
        rule = rule_of(spec)
        if rules_of(spec)[-1].seeds != rule.seeds:
            raise ValueError(f"waves of {spec['waves']} seeds, and a rule of {rule.seeds}")
        factors = Factors.from_json(spec["design"]) if "design" in spec else None
    except (ValidationError, TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, RecordError):
            raise
        raise _wrong(file, f"spec.{_told(error)}") from None
    if rule.seeds > MOST_SEEDS or not 0 <= spec["first_seed"] < 2**62:
        raise _wrong(file, f"spec of {rule.seeds} seeds from {spec['first_seed']} on")
    names = [arm.name for arm in file.arms if not arm.is_control]
    if factors is not None and list(factors.cells()) != names:
        raise _wrong(file, f"spec.design, whose cells are not the arms {names[:8]}")
    for look in file.looks:
        _check_look(file, look.result, names)
    if file.study.is_given:
        _check_given(file, names)


def simulate_bounds(ledger: Ledger, name: str) -> None:
    """Simulate the bounds that an imported study was judged by, so that its report is the one of where it was made.

    An archive does not hold them: one that is forged would change how other studies of this ledger are judged.

    Args:
        ledger: where the study is now.
        name: its name.
    """
    study, arms = ledger.studies.get(name), [arm.name for arm in ledger.studies.arms(name) if not arm.is_control]
    spec = study.spec
    if study.is_given or spec.get("aa") or spec.get(PICK):
        return
    waves = waves_of(spec, arms)
    if sum(wave.rule.seeds * max(len(wave.arms), FEW_ARMS) for wave in waves) > MOST_SIMULATED:
        return
    if "design" in spec:
        cached_factorial_calibration(ledger, Factors.from_json(spec["design"]).design, rule_of(spec))
        return
    for wave in waves:
        cached_calibration(ledger, len(wave.arms), wave.rule, procedure_of(spec))


def _check_look(file: StudyFile, result: dict[str, Any], names: list[str]) -> None:
    try:
        read = _LookResult.model_validate(result)
        replay = Replay.from_json(result["replay"]) if result["replay"] else None
        if "factorial" in result:
            FactorialResult.from_json(result["factorial"])
    except (ValidationError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise _wrong(file, f"looks.{_told(error)}") from None
    columns = [outcome.arm for outcome in replay.outcomes] if replay else []
    # A study that got arms later has looks at fewer of them.
    if (
        read.arms != names[: len(read.arms)]
        or (names and not read.arms)
        or any(not 1 <= column <= len(names) for column in columns)
    ):
        raise _wrong(file, f"a look at the arms {read.arms}, columns {columns}")


def _check_given(file: StudyFile, names: list[str]) -> None:
    """Check the judgement of scores that were made elsewhere."""
    try:
        _Given.model_validate(file.study.spec[GIVEN_CODE])
        look = file.looks[-1].result
        found = FixedResult.from_json(look[GIVEN_CODE])
        TypeAdapter(list[str]).validate_python(look["notes"])
    except (ValidationError, TypeError, ValueError, LookupError, AttributeError) as error:
        raise _wrong(file, f"given: {_told(error)}") from None
    filled = {arm for arm, _, _ in file.cells}
    if len(found.arms) != len(names) or filled != {arm.name for arm in file.arms}:
        raise _wrong(file, f"a judgement of {len(found.arms)} arms")


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"


def _wrong(file: StudyFile, found: str) -> RecordError:
    return RecordError(
        "An imported study must say how it is judged", found=f"study {file.study.name!r}: {found}",
        do="export it again where it was made; nothing of it was imported",
    )  # fmt: skip
