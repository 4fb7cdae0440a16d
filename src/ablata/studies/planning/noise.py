"""The noise of a recipe's runs, from every study of the ledger that changes it, whatever its length."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from ablata.base.errors import listing
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import judged_values
from ablata.records.rows import ArmRow
from ablata.stats import Noise, noise_from_scores, pool_noise
from ablata.studies.evidence import known_prior
from ablata.studies.study import CONTROL, Study


@dataclass(frozen=True, kw_only=True)
class KnownNoise:
    """The noise of one run, and the runs that it rests on.

    Attributes:
        noise: pooled over the studies.
        studies: their names.
        runs: how many completed runs they hold, a run that several share counted once.
        epochs: lengths of the controls' trainings, rising, each once; those counted in steps are left out.
    """

    noise: Noise
    studies: tuple[str, ...]
    runs: int
    epochs: tuple[float, ...]


def known_noise(ledger: Ledger, recipe: str, *, without: Set[str] = frozenset()) -> KnownNoise | None:
    """Pool the noise of all studies whose control is a recipe of this name, and which compare its own score.

    Args:
        ledger: where they are recorded.
        recipe: name of the recipe.
        without: studies that are left out.

    Returns:
        The noise of one run, or None if no study has two arms at two common seeds.
    """
    noises: dict[str, Noise] = {}
    runs: set[str] = set()
    epochs: set[float | None] = set()
    for row in ledger.studies.all():
        control = _control(ledger.studies.arms(row.name))
        # A study of seconds says nothing of the noise of scores.
        if control.recipe_name != recipe or row.spec.get("other_metric") or row.name in without:
            continue
        found = noise_of_study(ledger, row.name)
        if found is None:
            continue
        noises[row.name] = found
        runs |= {cell.run.id for cell in ledger.studies.cells(row.name) if cell.run.state == "completed"}
        epochs.add(control.recipe["train"].get("epochs"))
    pooled = pool_noise(noises.values())
    if pooled is None or pooled.variance <= 0:
        return None
    lengths = tuple(sorted(length for length in epochs if length is not None))
    return KnownNoise(
        noise=Noise(variance=pooled.variance, df=pooled.df), studies=tuple(noises), runs=len(runs), epochs=lengths
    )


def noise_of_study(ledger: Ledger, name: str, without: Set[str] = frozenset()) -> Noise | None:
    """Return the noise of one study's completed runs, at seeds where the control has completed; None if too few.

    Args:
        ledger: where it is.
        name: the study.
        without: runs of the control whose seeds are left out.
    """
    try:
        return noise_from_scores(score_table(ledger, name, without))
    except ValueError:
        return None


def score_table(ledger: Ledger, name: str, without: Set[str] = frozenset()) -> np.ndarray:
    """Return the scores of a study's completed runs, (seeds, 1 + arms), the control first, at seeds where it has one.

    NaN where an arm has none.
    """
    arms = sorted(ledger.studies.arms(name), key=lambda arm: not arm.is_control)
    key = ledger.studies.get(name).spec["metric"]["key"]
    columns = {arm.name: column for column, arm in enumerate(arms)}
    cells = [cell for cell in ledger.studies.cells(name) if cell.run.id not in without]
    values = judged_values(ledger, key, [cell.run for cell in cells])
    rows = {seed: row for row, seed in enumerate(sorted({cell.seed for cell in cells}))}
    table = np.full((len(rows), len(arms)), np.nan)
    for cell in cells:
        if cell.run.state == "completed":
            table[rows[cell.seed], columns[cell.arm]] = values.get(cell.run.id, np.nan)
    return np.asarray(table[~np.isnan(table[:, 0])])


def _control(arms: list[ArmRow]) -> ArmRow:
    return next(arm for arm in arms if arm.is_control)


def item_prior_line(ledger: Ledger, study: Study) -> str:
    """Say from what each arm's noise is read where it is read from single images too; empty for any other study."""
    if study.noise != "items":
        return ""
    prior, studies = known_prior(ledger, study.recipes[CONTROL].name, study.judged.key)
    learnt = f"learnt from {listing(studies)}" if studies else "no earlier study has shown it, so a wide one is taken"
    return (
        "of each arm is read from its single images too: runs vary about "
        f"{prior.level**0.5:.2g} times as much as their uncertain images say ({learnt})"
    )
