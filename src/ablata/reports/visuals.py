"""What runs have kept to be looked at, as sections of a page: images of predictions, the score of every class."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

from markupsafe import Markup

from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.run_folder.gallery import Gallery, GalleryGroup, ShownImage, read_gallery
from ablata.reports.plots.bars import LabeledBar, bars
from ablata.reports.sections import GridSection, Image, ImageSection, Panel, Section, TableCell, TableSection

MOST_ARMS = 8
"""Arms whose classes are drawn and whose images are shown."""
MOST_BYTES = 600_000
"""Of images on a study's page, before they are written as text (which adds a third)."""
TITLES = {"iou": "Intersection over union", "ap": "Average precision", "accuracy": "Accuracy"}


def run_sections(shown: Gallery) -> tuple[Section, ...]:
    """Return the sections of one run: bars of its classes, images by groups; without those with nothing to show."""
    sections: list[Section] = []
    if shown.classes:
        drawing = _bars(shown.classes, TITLES.get(shown.class_metric, shown.class_metric), "classes-0")
        groups = (("", (Panel(title=f"{len(shown.classes)} classes", drawing=drawing),)),)
        sections.append(GridSection(title=_title(shown), ident="classes", groups=groups, caption=_scored(shown)))
    if shown.images:
        images = [_image(one) for one in shown.images]
        sections.append(_images_section(images, shown, _seen(shown)))
    return (*sections, *(_group_section(group, number) for number, group in enumerate(shown.groups)))


def study_sections(ledger: Ledger, name: str) -> tuple[Section, ...]:
    """Return the sections of a study whose runs have kept something: a table and bars of classes, images of each arm.

    Raises:
        RecordError: there is no such study, or a run's list is damaged.
    """
    arms = _kept(ledger, name)
    first = next((kept[0][1] for kept in arms.values()), None)
    if first is None:
        return ()
    scores = {arm: _means([shown for _, shown in kept]) for arm, kept in arms.items()}
    scores = {arm: classes for arm, classes in scores.items() if classes}
    sections: list[Section] = []
    if scores:
        sections += [class_table(first, scores), class_bars(first, scores)]
    if images := _images(arms):
        caption = f"{_seen(first)} Of each arm its first completed seed, and the same images."
        sections.append(_images_section(images, first, caption))
    return tuple(sections)


def class_table(first: Gallery, scores: dict[str, dict[str, float]]) -> TableSection:
    """Return a row for each class and a column for each arm: means over seeds, and the difference to the first arm."""
    control, *_ = scores
    rows = []
    for name, _ in first.classes:
        base = scores[control].get(name)
        cells = [TableCell(text=name, order=name, class_="arm")]
        for arm, classes in scores.items():
            value = classes.get(name)
            apart = "" if value is None or base is None or arm == control else f"{value - base:+.1f}"
            text = "–" if value is None else f"{value:.1f}"
            cells.append(TableCell(text=text, note=apart.replace("-", "−"), order=value, class_="number"))
        rows.append(tuple(cells))
    caption = (
        f"{_scored(first)} Means over the completed seeds; the small figure is the difference to {control}, no verdict."
    )
    return TableSection(
        title=_title(first),
        ident="class-table",
        columns=("Class", *scores),
        rows=tuple(rows),
        caption=caption,
        folded=True,
    )


def class_bars(first: Gallery, scores: dict[str, dict[str, float]]) -> GridSection:
    """Return bars of the classes, a panel for each arm."""
    panels = []
    for place, (arm, classes) in enumerate(list(scores.items())[:MOST_ARMS]):
        values = [(name, classes.get(name)) for name, _ in first.classes]
        panels.append(Panel(title=arm, drawing=_bars(values, arm, f"classes-{place}")))
    return GridSection(
        title=f"{_title(first)}, drawn",
        ident="classes",
        groups=(("", tuple(panels)),),
        caption=_scored(first),
        class_="fine",
    )


def _kept(ledger: Ledger, name: str) -> dict[str, list[tuple[RunRow, Gallery]]]:
    """Return what the completed runs of each arm have kept, by seed; the control first, arms without any left out."""
    order = sorted(ledger.studies.arms(name), key=lambda arm: not arm.is_control)
    found: dict[str, list[tuple[RunRow, Gallery]]] = {arm.name: [] for arm in order}
    for cell in sorted(ledger.studies.cells(name), key=lambda cell: cell.seed):
        shown = read_gallery(ledger.files.bring(cell.run)) if cell.run.state == "completed" else None
        if shown is not None:
            found[cell.arm].append((cell.run, shown))
    return {arm: kept for arm, kept in found.items() if kept}


def _means(kept: Sequence[Gallery]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for shown in kept:
        for name, score in shown.classes:
            if score is not None:
                values.setdefault(name, []).append(score)
    return {name: math.fsum(scores) / len(scores) for name, scores in values.items()}


def _images_section(images: Sequence[Image], shown: Gallery, caption: str) -> ImageSection:
    key = (
        ()
        if shown.key is None
        else (Image(alt="a colour beside each class", caption="", source=data_address(shown.key)),)
    )
    return ImageSection(title="Predictions", ident="predictions", images=(*images, *key), caption=caption)


def _group_section(group: GalleryGroup, number: int) -> ImageSection:
    images = tuple(_image(one) for one in group.images)
    return ImageSection(title=group.title, ident=f"shown-{number}", images=images, caption=group.caption)


def _image(one: ShownImage) -> Image:
    return Image(alt=one.alt, caption=one.caption, source=data_address(one.content, one.ending))


def _images(arms: dict[str, list[tuple[RunRow, Gallery]]]) -> list[Image]:
    """Return the first images of every arm, image by image, as many as the page may hold."""
    shown = {arm: kept[0] for arm, kept in list(arms.items())[:MOST_ARMS]}
    images: list[Image] = []
    size = 0
    for number in range(min(len(one.images) for _, one in shown.values())):
        row = [(arm, run.seed, one.images[number]) for arm, (run, one) in shown.items()]
        size += sum(len(image.content) for _, _, image in row)
        if images and size > MOST_BYTES:
            break
        images += [
            Image(
                alt=f"{arm}: {image.alt}",
                caption=f"{arm}, seed {seed}, {image.caption}",
                source=data_address(image.content, image.ending),
            )
            for arm, seed, image in row
        ]
    return images


def _bars(classes: Sequence[tuple[str, float | None]], title: str, ident: str) -> Markup:
    rows = [LabeledBar(name, score, "–" if score is None else f"{score:.1f}") for name, score in classes]
    return bars(title, rows, ident=ident)


def _title(shown: Gallery) -> str:
    return f"{TITLES.get(shown.class_metric, shown.class_metric)} of each class"


def _scored(shown: Gallery) -> str:
    return f"Percent on {shown.split}, protocol {shown.protocol}; – for a class that is not there."


def _seen(shown: Gallery) -> str:
    return f"{shown.caption} Images of {shown.split}, protocol {shown.protocol}.".strip()


def data_address(content: bytes, ending: str = "jpg") -> str:
    """Return the bytes of a JPEG (`jpg`) or SVG (`svg`) file as an address that a page holds itself."""
    # A drawing is an address too, never a part of the page: nothing in it can run there.
    kind = {"jpg": "jpeg", "svg": "svg+xml"}[ending]
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
