"""The images on which an arm and its control disagree most, drawn where a run keeps them, else named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablata.base.printable import printable
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.item_images import read_item_image
from ablata.reports.items.judged import JudgedItems, judged_items
from ablata.reports.plots.bars import LabeledBar, bars
from ablata.reports.sections import GridSection, Image, ImageSection, Panel, Section
from ablata.reports.visuals import MOST_ARMS, data_address
from ablata.stats.items.population import flips

MOST_FLIPS = 6
"""Images of each kind and arm."""


@dataclass(frozen=True, kw_only=True)
class FlippedItem:
    """An item that an arm flips.

    Attributes:
        place: its number among the study's items.
        gain: by how much the arm is better on it, the mean over seeds; below 0 where it is worse.
        words: what control and arm got.
    """

    place: int
    gain: float
    words: str


def flipped_items(ledger: Ledger, name: str) -> tuple[RunRow, tuple[str, ...]] | None:
    """Return the items that a study's page draws, and the control's run whose folder keeps their images.

    None where its runs kept no items, or nothing flips.

    Raises:
        RecordError: there is no such study.
    """
    judged = judged_items(ledger, name)
    keeper = _keeper(judged) if isinstance(judged, JudgedItems) else None
    if not isinstance(judged, JudgedItems) or keeper is None:
        return None
    places = dict.fromkeys(item.place for arm in judged.arms[:MOST_ARMS] for item in _flipped(judged, arm))
    return (keeper, tuple(judged.items.items[place] for place in places)) if places else None


def flip_sections(ledger: Ledger, judged: JudgedItems, undrawn: str = "") -> tuple[Section, ...]:
    """Return the sections of the images on which each arm and the control disagree most.

    Args:
        ledger: holds the runs.
        judged: the study's items.
        undrawn: why images may be missing; empty: nothing is told.
    """
    by_arm = {arm: found for arm in judged.arms[:MOST_ARMS] if (found := _flipped(judged, arm))}
    keeper = _keeper(judged)
    if not by_arm or keeper is None:
        return ()
    split, names = str(judged.study.spec["metric"]["split"]), judged.items.items
    folder = ledger.files.bring(keeper)
    wanted = {item.place for found in by_arm.values() for item in found}
    drawn = {place: image for place in wanted if (image := read_item_image(folder, split, names[place]))}
    if not drawn:
        return (_named(judged, by_arm, undrawn),)
    return tuple(
        _drawn(judged, arm, found, drawn, ident=f"flips-{number}") for number, (arm, found) in enumerate(by_arm.items())
    )


def _keeper(judged: JudgedItems) -> RunRow | None:
    """Return the control's first run, whose folder keeps images of items."""
    return next((control for pairs in judged.pairs.values() for _, control in pairs), None)


def _flipped(judged: JudgedItems, arm: str) -> list[FlippedItem]:
    table = judged.differences(arm)
    if not len(table):
        return []
    found = flips(table if judged.higher_is_better else -table, MOST_FLIPS)
    both = [(*found.gained, *found.lost), (*found.gains, *found.losses)]
    return [
        FlippedItem(place=int(place), gain=gain, words=_words(judged, arm, int(place)))
        for place, gain in zip(*both, strict=True)
    ]


def _words(judged: JudgedItems, arm: str, place: int) -> str:
    """Say what control and arm got on an item: of hits in how many seeds, of other scores their means."""
    values, pairs, control = judged.items.judged, judged.pairs[arm], judged.control
    before = np.array([values[base.id][place] for _, base in pairs])
    after = np.array([values[run.id][place] for run, _ in pairs])
    if judged.are_hits:
        right = [int((one > 0).sum()) for one in (before, after)]
        seeds = f"{len(pairs)} seed{'s' if len(pairs) > 1 else ''}"
        return f"right in {right[0]} of {seeds} with {control}, in {right[1]} with {arm}"
    return f"{control} {before.mean():.3g}, {arm} {after.mean():.3g}"


def _drawn(
    judged: JudgedItems, arm: str, found: Sequence[FlippedItem], drawn: dict[int, bytes], *, ident: str
) -> ImageSection:
    images = []
    for item in found:
        if item.place in drawn:
            name = printable(judged.items.items[item.place])
            caption = f"{name}, {'won' if item.gain > 0 else 'lost'}: {item.words}"
            images.append(Image(alt=f"image {name}", caption=caption, source=data_address(drawn[item.place])))
    return ImageSection(
        title=f"Images that {arm} flips", ident=ident, images=tuple(images), caption=_caption(judged), class_="small"
    )


def _named(judged: JudgedItems, by_arm: dict[str, list[FlippedItem]], undrawn: str) -> GridSection:
    panels = []
    for number, (arm, found) in enumerate(by_arm.items()):
        rows = [
            LabeledBar(
                printable(judged.items.items[item.place]),
                abs(item.gain),
                f"{'won' if item.gain > 0 else 'lost'}, {item.gain:+.3g}".replace("-", "−"),
            )
            for item in found
        ]
        panels.append(Panel(title=arm, drawing=bars(f"Images that {arm} flips", rows, ident=f"flips-{number}")))
    caption = " ".join(filter(None, (_caption(judged), undrawn)))
    groups = (("", tuple(panels)),)
    return GridSection(title="Images that flip", ident="flips", groups=groups, caption=caption, class_="fine")


def _caption(judged: JudgedItems) -> str:
    what = "gets right (won) or wrong (lost) more often" if judged.are_hits else "is better on (won) or worse on (lost)"
    return (
        f"The images that the arm {what} than {judged.control}: first those that differ at every seed. Some of them "
        "differ by luck alone, which is not tested here."
    )
