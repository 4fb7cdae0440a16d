"""What a score was measured on: how many test items, what one is worth, how much the choice of items matters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablata.base.errors import UserError
from ablata.base.quantities import counted
from ablata.records.ledger import Ledger
from ablata.records.questions.study_items import item_clusters
from ablata.records.rows import RunRow
from ablata.records.run_folder.checkpoint_facts import checkpoint_facts
from ablata.records.run_folder.items import read_items

_SHARES_RIGHT = ("top1", "accuracy")
"""Scores whose level by chance is one over the number of classes."""
_WHOLE = 100.0


@dataclass(frozen=True, kw_only=True)
class ScoredOn:
    """The items of a score, as one run shows them.

    Attributes:
        items: how many.
        groups: how many clusters they form, such as videos; None: each stands alone.
        score: of the run, in the metric's unit.
        error: its standard error over the choice of items (or clusters), same unit; None for fewer than two.
        right: whether an item is right or wrong, so that one is worth 100 / items points.
        classes: how many there are, where guessing scores one over them; else None.
    """

    items: int
    groups: int | None
    score: float
    error: float | None
    right: bool
    classes: int | None = None

    def sentence(self, split: str) -> str:
        """Return it in a sentence, as plans and pages say it."""
        where = f" of {split}" if split else ""
        clusters = "" if self.groups in (None, self.items) else f" in {counted(self.groups or 0, 'group')}"
        parts = [f"Scored on {counted(self.items, 'item')}{where}{clusters}"]
        if self.right:
            parts.append(f"one of them is worth {_short(_WHOLE / self.items)} points")
        if self.error is not None:
            of, unit = (f"{self.score:.1f}%", " points") if self.right else (f"{self.score:.4g}", "")
            parts.append(f"with other items like these a score of {of} would vary by {_short(self.error)}{unit}")
        if self.classes:
            parts.append(f"guessing among {counted(self.classes, 'class')} scores {_WHOLE / self.classes:.3g}%")
        return f"{parts[0]}: {'; '.join(parts[1:])}." if len(parts) > 1 else f"{parts[0]}."


def scored_on(
    ledger: Ledger, metric: Mapping[str, Any], runs: Iterable[RunRow], clusters: str | None = None
) -> ScoredOn | None:
    """Return what the newest of some runs that kept its items was scored on; None where none did.

    Args:
        ledger: holds the runs.
        metric: of a study's specification: key, name, split, protocol.
        runs: of one recipe, the control's.
        clusters: how items belong together; None: as their record says. See `clusters_of`.
    """
    for run in sorted(runs, key=lambda one: -one.number):
        folder = ledger.files.bring(run)
        try:
            found = read_items(folder, str(metric.get("split") or ""), str(metric.get("protocol") or ""))
        except UserError:
            continue
        name = None if found is None else found.keys.get(str(metric["key"]))
        if found is None or name is None or not found.items:
            continue
        values = found.values[name]
        groups = item_clusters(found.items, found.groups, clusters)
        classes = _classes(checkpoint_facts(folder / "last.safetensors")) if metric["name"] in _SHARES_RIGHT else None
        return ScoredOn(
            items=len(values),
            groups=None if groups is None else int(groups.max()) + 1,
            score=float(values.mean()),
            error=_error(values, groups),
            right=metric["name"] in _SHARES_RIGHT and set(np.unique(values)) <= {0.0, _WHOLE},
            classes=classes,
        )
    return None


def _error(values: NDArray[np.float64], groups: NDArray[np.int64] | None) -> float | None:
    """Standard error of the mean over items, or over clusters of them: sqrt(G / (G - 1) sum of squared sums) / m."""
    off = values - values.mean()
    if groups is not None:
        off = np.bincount(groups, weights=off)
    count = len(off)
    return math.sqrt(count / (count - 1) * float((off**2).sum())) / len(values) if count > 1 else None


def _classes(facts: Mapping[str, Any] | None) -> int | None:
    classes = ((facts or {}).get("contract") or {}).get("classes")
    return len(classes) if isinstance(classes, list) and len(classes) > 1 else None


def _short(value: float) -> str:
    return f"{value:.2g}"
