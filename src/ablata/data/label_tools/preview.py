"""Overlays of a folder's label files, before anything is known of them: image, label, and both together."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.drawing.contact_sheet import captioned
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.label_tools.propose_map import percent
from ablata.data.label_tools.scan import ReadOptions, value_counts
from ablata.data.labels.layout import LabeledFolder, Sample
from ablata.data.labels.map import LabelMap, split_color
from ablata.data.labels.mask_files import read_mask
from ablata.data.labels.table import default_palette, written_value

STRANGE = (255, 0, 255)
"""Values that the map has not are drawn in this colour; colours that it has not, as they are."""
_NAMED = 5


def label_sheet(
    labelled: LabeledFolder,
    reading: ReadOptions,
    known: LabelMap | None,
    *,
    count: int,
    columns: int = 2,
    side: int = 720,
) -> Image.Image:
    """Draw some pairs, taken evenly from all: the image, its label file in the map's colours, and the two blended.

    Args:
        labelled: the files.
        reading: how label files are read.
        known: what their values mean; None: colours are drawn as they are, other values in colours of their own.
        count: how many pairs at most.
        columns: cells a row.
        side: pixels of a cell's width.

    Returns:
        An RGB image; under each cell stand the file and its largest values.

    Raises:
        DataError: there is no pair, or a file cannot be read.
    """
    pairs = [sample for sample in labelled.samples if sample.image and sample.label]
    if not pairs:
        raise DataError(
            "There must be images with label files to draw",
            found=f"{labelled.root}: no image with a label file",
            do="put a label file of the same name beside each image",
        )
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int))
    cells, captions = zip(*(_cell(pairs[row], reading, known) for row in rows), strict=True)
    return captioned(list(cells), list(captions), columns=columns, side=side)


def _cell(sample: Sample, reading: ReadOptions, known: LabelMap | None) -> tuple[torch.Tensor, list[str]]:
    assert sample.image is not None
    assert sample.label is not None
    raw = read_mask(sample.label, reading.form, reading.leniency, reading.rules)
    label = colored(raw, reading, known)
    image = to_rgb(
        open_image(sample.image, str(sample.image), reading.rules.max_pixels), str(sample.image), reading.rules
    )
    if image.size != (label.shape[1], label.shape[0]):
        image = image.resize((label.shape[1], label.shape[0]))
    pixels = np.asarray(image)
    blended = ((pixels.astype(np.uint16) + label) // 2).astype(np.uint8)
    cell = torch.from_numpy(np.concatenate([pixels, label, blended], axis=1)).permute(2, 0, 1)
    values, counts, _ = value_counts(raw)
    largest = counts.argsort()[::-1][:_NAMED]
    named = [f"{_name(int(values[at]), reading, known)} {percent(counts[at] / raw.size)}" for at in largest]
    return cell, [f"{sample.split}/{sample.name}".strip("/"), ", ".join(named)]


def colored(raw: np.ndarray, reading: ReadOptions, known: LabelMap | None) -> np.ndarray:
    """Return uint8 [H, W, 3], raw values [H, W] in their colours."""
    values, which = np.unique(raw, return_inverse=True)
    palette = default_palette(256)
    drawn = []
    for value in values.tolist():
        label = known.find(value) if known else None
        if known is not None and label is not None:
            drawn.append((0, 0, 0) if label.ignore else known.drawn(label))
        elif reading.form == "colors":
            drawn.append(split_color(value))
        else:
            drawn.append(palette[value % 256] if known is None else STRANGE)
    painted: np.ndarray = np.array(drawn, dtype=np.uint8)[which.reshape(raw.shape)]
    return painted


def _name(value: int, reading: ReadOptions, known: LabelMap | None) -> str:
    label = known.find(value) if known else None
    if label is not None:
        return "ignored" if label.ignore else label.name
    return written_value(reading.form, value) + ("?" if known else "")
