"""What repeating the notebooks' conclusions gave, in a file that ships with the package.

`ablata replicate collect` writes the file from the finished studies of a lab; nothing in it is typed by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from ablata.base.errors import SettingsError
from ablata.base.settings import Settings, restore

SHIPPED = Path(__file__).parent / "repeated" / "findings.yaml"
_HEAD = "# Written by `ablata replicate collect` from the studies of a lab. Not to be edited by hand.\n"

Verdict = Literal["better", "worse", "equivalent", "undecided", "unstable"]
_TURNED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}


class MeasuredNoise(Settings):
    """How much runs of a study differ that differ in their seed alone."""

    sd: float = Field(gt=0)
    """Standard deviation of one run within a seed, in the metric's unit."""
    df: float = Field(gt=0)
    """Its degrees of freedom."""


class RepeatedClaim(Settings):
    """Our verdict on one trial of a notebook, in the trial's direction."""

    question: str
    """Of the notebook."""
    trial: str
    """Of the question."""
    change: str
    """The study's change or arm that was judged."""
    reverse: bool = False
    """That change takes the trial's back; verdict and effect are turned round already."""
    verdict: Verdict
    """What the rule says of the trial."""
    effect: float | None = None
    """Of the trial, in the metric's unit; null where runs gave no score."""
    low: float | None = None
    """End of its interval, over all looks and changes."""
    high: float | None = None
    """The other end."""
    seeds: int
    """Seeds that it rests on."""

    def turned(self) -> RepeatedClaim:
        """Return the verdict on the opposite change."""

        def negative(value: float | None) -> float | None:
            return None if value is None else -value

        return self.model_copy(
            update={
                "verdict": _TURNED.get(self.verdict, self.verdict),
                "effect": negative(self.effect), "low": negative(self.high), "high": negative(self.low),
            }
        )  # fmt: skip


class RepeatedStudy(Settings):
    """A study of a lab that bears on a notebook's conclusions."""

    study: str
    """Its name in the lab."""
    notebook: str
    """The notebook's name."""
    scale: Literal["short", "small", "full"]
    """short: small networks and trainings; small: the notebook's networks, shorter; full: as recorded."""
    setup: str
    """What was trained, half a sentence."""
    recipe: str
    """Whose settings were changed."""
    factorial: bool = False
    """Its changes were switched on and off together, each judged averaged over the others."""
    metric: str
    """What was compared."""
    unit: str = ""
    """The metric's."""
    margin: float | None = None
    """The largest difference that does not matter."""
    runs: int
    """That ended."""
    noise: MeasuredNoise | None = None
    """Of one run; null where too few have ended."""
    rule: str
    """Which rule judged, and at which level."""
    date: str
    """Of its last run, as 2026-11-30."""
    hardware: str
    """What it ran on."""
    command: str
    """What repeats it."""
    claims: tuple[RepeatedClaim, ...] = ()
    """In the order of the study's changes."""


class RepeatedFindings(Settings):
    """All that has been repeated."""

    studies: tuple[RepeatedStudy, ...] = ()
    """By notebook, in the order of the notebook's studies."""

    def merged(self, newer: RepeatedFindings) -> RepeatedFindings:
        """Return these studies with those of `newer` in the place of, or behind, those of the same name."""
        by_name = {study.study: study for study in self.studies}
        by_name |= {study.study: study for study in newer.studies}
        return RepeatedFindings(studies=tuple(by_name.values()))

    def of_notebook(self, name: str) -> tuple[RepeatedStudy, ...]:
        """Return the studies of a notebook."""
        return tuple(study for study in self.studies if study.notebook == name)


def found_for(
    studies: Iterable[RepeatedStudy], question: str, trial: str
) -> tuple[RepeatedStudy, RepeatedClaim] | None:
    """Return what was found of a trial, by the study nearest to the notebook's own training; None: not repeated."""
    order = ("full", "small", "short")
    found = [
        (study, claim)
        for study in studies
        for claim in study.claims
        if (claim.question, claim.trial) == (question, trial)
    ]
    return min(found, key=lambda pair: order.index(pair[0].scale), default=None)


@cache
def shipped_findings() -> RepeatedFindings:
    """Return what ships with the package."""
    return read_findings(SHIPPED)


def read_findings(path: Path) -> RepeatedFindings:
    """Read a file of findings.

    Raises:
        SettingsError: it is no YAML, or an entry is missing, unknown or of the wrong type.
    """
    try:
        tree: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SettingsError(
            "A file of findings must be YAML", found=f"{path}: {error}", do="mend the line that is named"
        ) from None
    return restore(RepeatedFindings, tree, source=str(path))


def write_findings(findings: RepeatedFindings) -> str:
    """Return the file's text."""
    tree = findings.model_dump(mode="json", exclude_defaults=True)
    return _HEAD + yaml.safe_dump(tree or {"studies": []}, sort_keys=False, width=120, allow_unicode=True)
