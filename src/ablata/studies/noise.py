"""The noise of a recipe's runs, from every study of the ledger that changes it, whatever its length."""

from __future__ import annotations

import numpy as np

from ablata.records.ledger import Ledger
from ablata.stats import Noise, noise_from_scores, pool_noise


def known_noise(ledger: Ledger, recipe: str) -> Noise | None:
    """Pool the noise of all studies whose control is a recipe of this name.

    Args:
        ledger: where they are recorded.
        recipe: name of the recipe.

    Returns:
        The noise of one run, or None if no study has two arms at two common seeds.
    """
    pooled = pool_noise(filter(None, (_of_study(ledger, row.name, recipe) for row in ledger.studies.all())))
    return Noise(variance=pooled.variance, df=pooled.df) if pooled and pooled.variance > 0 else None


def _of_study(ledger: Ledger, name: str, recipe: str) -> Noise | None:
    arms = {arm.name: arm for arm in ledger.studies.arms(name)}
    if next(arm for arm in arms.values() if arm.is_control).recipe_name != recipe:
        return None
    return noise_of_study(ledger, name)


def noise_of_study(ledger: Ledger, name: str) -> Noise | None:
    """Return the noise of one study's completed runs, at seeds where the control has completed; None if too few."""
    arms = ledger.studies.arms(name)
    control = next(arm for arm in arms if arm.is_control)
    key = ledger.studies.get(name).spec["metric"]["key"]
    columns = {arm.name: column for column, arm in enumerate(arms)}
    cells = ledger.studies.cells(name)
    rows = {seed: row for row, seed in enumerate(sorted({cell.seed for cell in cells}))}
    table = np.full((len(rows), len(arms)), np.nan)
    for cell in cells:
        if cell.run.state == "completed" and cell.run.scores:
            table[rows[cell.seed], columns[cell.arm]] = cell.run.scores.get(key, np.nan)
    try:
        return noise_from_scores(table[~np.isnan(table[:, columns[control.name]])])
    except ValueError:
        return None
