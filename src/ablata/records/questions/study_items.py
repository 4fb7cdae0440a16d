"""The items of a study's runs side by side: equal items in equal order, or a reason why they cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablata.base.errors import SettingsError, UserError, listing
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.items import ItemScores, read_items

FOLDER_RULE = "folder"
TOLERANCE = 1e-3
"""How far the mean of the items may lie from the score, relative to the spread of the items or the score's size."""


@dataclass(frozen=True, eq=False)
class StudyItems:
    """What the runs of a study got on each item.

    Attributes:
        items: what the m items are called.
        groups: int64 (m,), the number of each item's cluster, from 0 on; None: each stands alone.
        name: of the values whose mean is the judged score.
        values: by that and further names, by run id, float64 (m,).
    """

    items: tuple[str, ...]
    groups: NDArray[np.int64] | None
    name: str
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]

    @property
    def judged(self) -> Mapping[str, NDArray[np.float64]]:
        """The items of the judged score, by run id."""
        return self.values[self.name]


@dataclass(frozen=True)
class NoItems:
    """Why the items of a study say nothing: a clause that follows `its items are not used: `."""

    reason: str


def study_items(
    ledger: Ledger, metric: Mapping[str, Any], runs: Iterable[RunRow], clusters: str | None = None
) -> StudyItems | NoItems:
    """Read what the completed runs of a study got on each item.

    Args:
        ledger: holds the runs.
        metric: of the study's specification: key, split, protocol, name.
        runs: any; those that are not completed are left out.
        clusters: how items belong together; None: as their record says. See `clusters_of`.

    Returns:
        The items, or why they cannot be compared: a run kept none, other items, or others than make its score.
    """
    completed = {run.id: run for run in runs if run.state == "completed"}
    first: ItemScores | None = None
    values: dict[str, dict[str, NDArray[np.float64]]] = {}
    for run in completed.values():
        try:
            found = read_items(ledger.files.bring(run), str(metric["split"]), str(metric["protocol"]))
        except UserError as error:
            return NoItems(error.found or str(error))
        name = None if found is None else {key: name for name, key in _keys(found)}.get(str(metric["key"]))
        if found is None:
            return NoItems(f"run {run.id} kept none of its {metric['key']}")
        if name is None:
            return NoItems(f"the items of run {run.id} have {listing(found.values)}, and no {metric['key']}")
        first = first or found
        if found.items != first.items:
            return NoItems(f"run {run.id} was scored on other items than run {next(iter(completed))}")
        score = (run.scores or {}).get(metric["key"])
        if score is None or not _mean_is(found.values[name], float(score)):
            return NoItems(f"the items of run {run.id} have the mean {found.values[name].mean():.6g}, not its {score}")
        for one, column in found.values.items():
            values.setdefault(one, {})[run.id] = column
    if first is None:
        return NoItems("no run has ended")
    whole = {one: columns for one, columns in values.items() if len(columns) == len(completed)}
    groups = item_clusters(first.items, first.groups, clusters)
    return StudyItems(first.items, groups, next(name for name, key in _keys(first) if key == metric["key"]), whole)


def item_clusters(items: Iterable[str], groups: Iterable[str] | None, rule: str | None) -> NDArray[np.int64] | None:
    """Return the cluster of each item as a rule says, see `clusters_of`, or without one the record's groups."""
    return clusters_of(items, rule) if rule else _numbered(groups)


def clusters_of(items: Iterable[str], rule: str) -> NDArray[np.int64]:
    """Return the cluster of each item, numbered in the order in which they come, int64 (m,).

    Args:
        items: what they are called.
        rule: `folder`: the folder of the item's path; anything else: a regular expression, of which the first group,
            or without one the whole match, is the cluster. An item without a match stands alone.

    Raises:
        SettingsError: the rule is no regular expression.
    """
    pattern = check_clusters(rule)
    found = []
    for item in items:
        if pattern is None:
            found.append(item.rpartition("/")[0] if "/" in item else item)
            continue
        match = pattern.search(item)
        found.append(item if match is None else (match[1] or "") if pattern.groups else match[0])
    numbered = _numbered(found)
    assert numbered is not None
    return numbered


def check_clusters(rule: str) -> re.Pattern[str] | None:
    """Return the regular expression of a rule, None for `folder`.

    Raises:
        SettingsError: it is neither.
    """
    try:
        return None if rule == FOLDER_RULE else re.compile(rule)
    except re.error as error:
        raise SettingsError(
            "Clusters are told by `folder` or a regular expression of the items' names", found=f"{rule!r}: {error}",
            do=r"for example '^([^_]+)_', the part before the first underscore",
        ) from None  # fmt: skip


def _keys(found: ItemScores) -> list[tuple[str, str]]:
    return [(name, key) for key, name in found.keys.items()]


def _mean_is(values: NDArray[np.float64], score: float) -> bool:
    size = max(abs(score), float(np.abs(values).max(initial=0.0)) / max(len(values), 1), 1e-9)
    return bool(len(values)) and abs(float(values.mean()) - score) <= TOLERANCE * size


def _numbered(groups: Iterable[str] | None) -> NDArray[np.int64] | None:
    if groups is None:
        return None
    number: dict[str, int] = {}
    return np.array([number.setdefault(group, len(number)) for group in groups], dtype=np.int64)
