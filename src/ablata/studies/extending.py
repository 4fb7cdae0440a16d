"""More seeds for a study that has ended undecided: another wave, judged at what its first plan left for it."""

from __future__ import annotations

from typing import Any

from ablata.base.errors import RecordError, SettingsError
from ablata.records.ledger import Ledger
from ablata.records.questions.account import EXPLORATORY
from ablata.stats import Rule, Verdict, rules_of
from ablata.stats.waves import EXTENDABLE, WAVES
from ablata.studies.assess import assess

LATER = "its study was extended after its verdicts were seen"
"""Why an arm is exploratory that goes on in a study whose first plan spent the whole rate."""


def extend(ledger: Ledger, name: str, seeds: int) -> Rule:
    """Open a study again with more seeds, for the arms that ended undecided; verdicts that were given stay.

    Args:
        ledger: where it is.
        name: the study.
        seeds: of each arm in all, those that ran counted.

    Returns:
        The rule of the new wave.

    Raises:
        RecordError: there is no such study, it has not ended, it is of scores made elsewhere or factorial, or all of
            its arms are decided.
        SettingsError: it has as many seeds already.
    """
    study = ledger.studies.get(name)
    kinds = {
        "given": "of scores that were made elsewhere",
        "design": "factorial",
        "aa": "of the control alone",
        "pick": "a pick, which claims nothing",
    }
    if kind := next((told for key, told in kinds.items() if key in study.spec), None):
        raise RecordError("A study must run its arms to be extended", found=f"study {name!r} is {kind}")
    if study.state != "finished":
        raise RecordError(
            "A study must have ended to be extended", found=f"study {name!r} is {study.state}",
            do=f"ablata study run {name}",
        )  # fmt: skip
    rules = rules_of(study.spec)
    known = [rule.seeds for rule in rules]
    if seeds <= known[-1]:
        raise SettingsError(
            "An extended study has more seeds than before, those that ran counted",
            found=f"--seeds {seeds}, and study {name} has {known[-1]}",
            do=f"for example --seeds {2 * known[-1]}",
        )
    undecided = [arm for arm, end in assess(ledger, name).outcomes().items() if end.verdict is Verdict.UNDECIDED]
    if not undecided:
        raise RecordError(
            "Only undecided arms go on when a study is extended", found=f"every arm of {name!r} is decided",
            do="another study, with --first-seed beyond these, asks anew",
        )  # fmt: skip
    spec = _larger(study.spec, [*known, seeds], name, undecided)
    ledger.studies.extend(name, spec, undecided)
    return rules_of(spec)[-1]


def _larger(spec: dict[str, Any], waves: list[int], name: str, undecided: list[str]) -> dict[str, Any]:
    """Return the specification with one more wave."""
    exploratory = dict(spec.get(EXPLORATORY, {}))
    if not spec.get(EXTENDABLE):
        exploratory = dict.fromkeys(undecided, LATER) | exploratory
    return {
        **spec,
        "rule": {**spec["rule"], "seeds": waves[-1]},
        WAVES: waves,
        "commands": [*(spec.get("commands") or []), f"ablata study extend {name} --seeds {waves[-1]}"],
        **({EXPLORATORY: exploratory} if exploratory else {}),
    }
