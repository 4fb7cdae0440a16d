"""What single items say of a study's noise, for studies that were made to read it from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ablata.records.ledger import Ledger
from ablata.records.questions.study_items import StudyItems, study_items
from ablata.records.rows import ArmRow, RunRow
from ablata.stats.items.moderation import ArmItems, ItemEvidence
from ablata.stats.items.noise import ItemPrior, Phi, item_variance, learn_prior, phi_of
from ablata.studies.study import CONTROL, Study

PRIOR = "item_prior"
"""The key of a study's specification that holds what was known of phi when it was made."""
PRIOR_STUDIES = "item_prior_studies"
"""The key that names the studies it was learnt from."""
PRIOR_KEYS = (PRIOR, PRIOR_STUDIES)
CLUSTERS = "clusters"
"""The key that says how items belong together."""
UNLEARNT = ItemPrior(level=1.5, between=0.4, within=0.3)
"""What is taken for phi of hits and misses while no earlier study has shown it: wide, since it differs by recipe."""

Cells = Mapping[tuple[str, int], RunRow]


def items_of_study(ledger: Ledger, spec: Mapping[str, Any], cells: Cells) -> StudyItems | str:
    """Return the items of a study's runs, or why there are none."""
    found = study_items(ledger, spec["metric"], cells.values(), spec.get(CLUSTERS))
    return found if isinstance(found, StudyItems) else found.reason


@dataclass(frozen=True)
class NoiseItems:
    """The items that a study's noise is read from, and what was known of phi before it."""

    items: StudyItems
    prior: ItemPrior

    def evidence(self, columns: Sequence[ArmRow], cells: Cells, seeds: Sequence[int]) -> ItemEvidence:
        """Return what the items say of each arm's difference to the control after each row of seeds.

        Args:
            columns: the control first.
            cells: the study's runs.
            seeds: of the judged rows, in order.
        """
        judged, control = self.items.judged, columns[0].name
        value, df = np.zeros((len(seeds), len(columns) - 1)), np.zeros((len(seeds), len(columns) - 1))
        for place, arm in enumerate(columns[1:]):
            differences: list[np.ndarray] = []
            for row, seed in enumerate(seeds):
                pair = [cells.get((name, seed)) for name in (arm.name, control)]
                both = [judged[run.id] for run in pair if run is not None and run.id in judged]
                if len(both) == 2:
                    differences.append(both[0] - both[1])
                if differences:
                    known = item_variance(np.array(differences), self.items.groups)
                    value[row, place], df[row, place] = known.value, known.df
        return ItemEvidence(ArmItems(value, df), self.prior)


def noise_items(ledger: Ledger, spec: Mapping[str, Any], cells: Cells) -> NoiseItems | str | None:
    """Return the items that a study's noise is read from, or why it cannot be read from them.

    How single items make a score's noise is known of hits and misses; of other scores once earlier studies showed it.
    None for a study that was not to read its noise from them.
    """
    if PRIOR not in spec:
        return None
    found = items_of_study(ledger, spec, cells)
    if isinstance(found, str):
        return found
    if not spec[PRIOR_STUDIES] and any(len(np.unique(values)) > 2 for values in found.judged.values()):
        return "they are not hits and misses, and no earlier study of this recipe showed their noise"
    return NoiseItems(found, ItemPrior.from_json(spec[PRIOR]))


def known_prior(ledger: Ledger, recipe: str, key: str) -> tuple[ItemPrior, tuple[str, ...]]:
    """Return what earlier studies of a recipe say of phi, and their names; without any what is usual.

    Args:
        ledger: holds the studies.
        recipe: name of the control's recipe.
        key: of the judged score; studies of another are left out.
    """
    found: dict[str, list[Phi]] = {}
    for row in ledger.studies.all():
        arms = ledger.studies.arms(row.name)
        control = next(arm for arm in arms if arm.is_control)
        if row.is_given or control.recipe_name != recipe or row.spec["metric"]["key"] != key:
            continue
        cells = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(row.name)}
        items = items_of_study(ledger, row.spec, cells)
        if isinstance(items, str):
            continue
        phis = [_phi(items, arm, control, cells) for arm in arms if not arm.is_control]
        if known := [phi for phi in phis if phi is not None]:
            found[row.name] = known
    return learn_prior(list(found.values()), UNLEARNT), tuple(found)


def prior_of(ledger: Ledger, study: Study) -> dict[str, Any]:
    """Return what is known of the items' noise before a study that reads its own from them; nothing for any other."""
    if study.noise != "items":
        return {}
    prior, studies = known_prior(ledger, study.recipes[CONTROL].name, study.judged.key)
    return {PRIOR: prior.to_json(), PRIOR_STUDIES: list(studies)}


def _phi(items: StudyItems, arm: ArmRow, control: ArmRow, cells: Cells) -> Phi | None:
    seeds = [seed for name, seed in cells if name == arm.name]
    pairs = [(cells[arm.name, seed], cells.get((control.name, seed))) for seed in seeds]
    rows = [
        items.judged[one.id] - items.judged[two.id]
        for one, two in pairs
        if two is not None and one.id in items.judged and two.id in items.judged
    ]
    return phi_of(np.array(rows), items.groups) if len(rows) > 1 else None
