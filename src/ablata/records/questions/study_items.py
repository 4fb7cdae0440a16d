"""The items of a study's runs side by side: equal items in equal order, or a reason why they cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
        name: of the values whose mean is the judged score, or of those that stand in its place.
        values: by that and further names, by run id, float64 (m,).
        stands_for: the judged score's name where it is no mean over items and `name` stands in its place; else empty.
    """

    items: tuple[str, ...]
    groups: NDArray[np.int64] | None
    name: str
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    stands_for: str = ""

    @property
    def judged(self) -> Mapping[str, NDArray[np.float64]]:
        """The items of the judged score, by run id."""
        return self.values[self.name]


@dataclass(frozen=True)
class NoItems:
    """Why the items of a study say nothing.

    Attributes:
        reason: a clause that follows `its items are not used: `.
        differ: whether runs have items that do not fit together, or not to their scores.
    """

    reason: str
    differ: bool = False


def study_items(
    ledger: Ledger,
    metric: Mapping[str, Any],
    runs: Iterable[RunRow],
    clusters: str | None = None,
    *,
    instead: bool = False,
) -> StudyItems | NoItems:
    """Read what the completed runs of a study got on each item.

    Args:
        ledger: holds the runs.
        metric: of the study's specification: key, split, protocol, name.
        runs: any; those that are not completed are left out.
        clusters: how items belong together; None: as their record says. See `clusters_of`.
        instead: where no item has a part in the judged score, such as AP, take that of each image alone (`image_AP`).

    Returns:
        The items, or why they cannot be compared: a run kept none, other items, or others than make its score.
    """
    completed = {run.id: run for run in runs if run.state == "completed"}
    first: ItemScores | None = None
    values: dict[str, dict[str, NDArray[np.float64]]] = {}
    key, stands_for = str(metric["key"]), ""
    for run in completed.values():
        try:
            found = read_items(ledger.files.bring(run), str(metric["split"]), str(metric["protocol"]))
        except UserError as error:
            return NoItems(error.found or str(error), differ=True)
        if found is None:
            return NoItems(f"run {run.id} kept none of its {metric['key']}")
        if first is None and instead and key not in found.keys and (alone := f"image_{metric['name']}") in found.values:
            key, stands_for = next(other for other, name in found.keys.items() if name == alone), str(metric["name"])
        name = found.keys.get(key)
        if name is None:
            return NoItems(f"the items of run {run.id} have {listing(found.values)}, and no {metric['key']}")
        first = first or found
        if found.items != first.items:
            return NoItems(
                f"run {run.id} was scored on other items than run {next(iter(completed))}: "
                f"{_difference(first.items, found.items)}",
                differ=True,
            )
        score = (run.scores or {}).get(key)
        if score is None or not _mean_is(found.values[name], float(score)):
            mean = found.values[name].mean()
            return NoItems(f"the items of run {run.id} have the mean {mean:.6g}, not its {score}", differ=True)
        for one, column in found.values.items():
            values.setdefault(one, {})[run.id] = column
    if first is None:
        return NoItems("no run has ended")
    whole = {one: columns for one, columns in values.items() if len(columns) == len(completed)}
    groups = item_clusters(first.items, first.groups, clusters)
    return StudyItems(first.items, groups, first.keys[key], whole, stands_for)


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


def _difference(before: Sequence[str], after: Sequence[str]) -> str:
    """Say by which item two lists differ first."""
    here, there = set(before), set(after)
    if here == there:
        return "they come in another order"
    gone = next((name for name in before if name not in there), None)
    return f"it lacks {gone!r}" if gone is not None else f"it has {next(n for n in after if n not in here)!r} too"


def _mean_is(values: NDArray[np.float64], score: float) -> bool:
    size = max(abs(score), float(np.abs(values).max(initial=0.0)) / max(len(values), 1), 1e-9)
    return bool(len(values)) and abs(float(values.mean()) - score) <= TOLERANCE * size


def _numbered(groups: Iterable[str] | None) -> NDArray[np.int64] | None:
    if groups is None:
        return None
    number: dict[str, int] = {}
    return np.array([number.setdefault(group, len(number)) for group in groups], dtype=np.int64)
