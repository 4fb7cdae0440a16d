"""Judged scores as a study of the ledger, to be listed, shown, exported and found again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from ablata.base.settings import Settings, expand, settings_hash
from ablata.records.given import record_given
from ablata.records.ledger import Ledger
from ablata.records.rows import GIVEN_CODE, NewArm
from ablata.stats import RULE_VERSION, Mode, Rule
from ablata.studies.given.judging import Judgement
from ablata.studies.study import CONTROL, study_name
from ablata.trainers.given import GivenRun

_LONGEST = 60


class GivenScores(Settings):
    """The trainer of runs that were made elsewhere: nothing is run."""

    task: Literal["given"] = "given"
    arm: str
    """What the scores call it."""
    source: str
    """Name of what they were read from."""


def keep_judgement(
    ledger: Ledger, judgement: Judgement, source: str, command: str, *, question: str, name: str | None = None
) -> str:
    """Write judged scores to the ledger as a finished study, or find the study that they made before.

    Args:
        ledger: where it goes.
        judgement: the scores and their verdicts.
        source: the name of the file or folder.
        command: what to type to judge them again.
        question: what is asked, for the report.
        name: of the study; None: made from the source and what it holds.

    Returns:
        The study's name.

    Raises:
        RecordError: another study has this name.
    """
    arms = (judgement.control, *judgement.arms)
    runs = {arm: _seeded(judgement.given.of_arm(arm), paired=judgement.result.paired) for arm in arms}
    digest = _digest([[arm, [[seed, run.scores] for seed, run in runs[arm]]] for arm in arms])
    metric = judgement.given.score
    rule = Rule(
        margin=judgement.margin,
        seeds=max(map(len, runs.values())),
        first_look=2,
        alpha=judgement.alpha,
        futility=False,
        higher_is_better=judgement.higher_is_better,
    )
    spec: dict[str, Any] = {
        "metric": {
            "key": metric,
            "name": metric,
            "split": "",
            "protocol": "",
            "unit": "",
            "higher_is_better": judgement.higher_is_better,
        },
        "rule": rule.to_json(),
        "rule_version": RULE_VERSION,
        "mode": Mode.CLAIM.value,
        "fixed": True,
        "first_seed": 0,
        "commands": [command] if command else [],
    }
    spec[GIVEN_CODE] = given = {"claimed": judgement.claimed, "paired": judgement.result.paired, "source": source}
    content = _digest([source, digest, spec["rule"], spec["metric"], judgement.claimed])
    given["content"] = content
    alike = (row.name for row in ledger.studies.all() if row.spec.get(GIVEN_CODE, {}).get("content") == content)
    # One that was given another name since is still what these scores made.
    made = name or next(alike, f"{study_name(source)}-{content[:6]}")
    short = {**_names(judgement.arms), judgement.control: CONTROL}
    new = [_arm(label, short[label], source, is_control=label == judgement.control) for label in arms]
    look: dict[str, Any] = {
        "arms": [arm.name for arm in new[1:]],
        "replay": None,
        GIVEN_CODE: judgement.result.to_json(),
    }
    look["notes"] = list(judgement.notes)
    scores = [[(seed, dict(run.scores)) for seed, run in runs[arm]] for arm in arms]
    record_given(ledger.database, made, question, spec, new, scores, look, data=digest)
    return made


def _seeded(runs: Sequence[GivenRun], *, paired: bool) -> list[tuple[int, GivenRun]]:
    """Return an arm's runs with their seeds; where seeds are not compared, with their places."""
    if paired:
        return [(run.seed, run) for run in runs if run.seed is not None]
    return list(enumerate(runs))


def _arm(label: str, name: str, source: str, *, is_control: bool) -> NewArm:
    settings = GivenScores(arm=label, source=source)
    return NewArm(
        name=name,
        recipe_name=f"scores of {source}"[:_LONGEST],
        recipe=expand(settings),
        recipe_hash=settings_hash(settings),
        change=[label],
        is_control=is_control,
    )


def _names(labels: Sequence[str]) -> dict[str, str]:
    """Return a name for each arm that can be a file's: what is no letter, digit or `_-.+` as `-`."""
    names: dict[str, str] = {}
    taken = {CONTROL}
    for label in labels:
        stem = re.sub(r"[^\w.+-]+", "-", label).strip("-.+")[:_LONGEST] or "arm"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem[: _LONGEST - 5]}-{number}", number + 1
        names[label] = name
        taken.add(name)
    return names


def _digest(tree: object) -> str:
    return hashlib.blake2b(json.dumps(tree, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()
