"""Drawing label maps: over their images, beside them, their errors, and what the colours mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ablata.data.drawing.contact_sheet import captioned
from ablata.data.drawing.panels import as_colors
from ablata.data.labels.table import VOID_COLOR, Color, paint
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.transforms.normalization import Normalizer
from ablata.structures.segmentation import IGNORE, SegmentationBatch

_RIGHT, _WRONG, _UNCOUNTED = (232, 232, 232), (208, 32, 48), (96, 96, 96)
_LINE, _SQUARE, _MARGIN = 20, 14, 8


def overlay(pixels: np.ndarray, labels: np.ndarray, palette: Sequence[Color], fraction: float = 0.55) -> np.ndarray:
    """Blend an image with its label map.

    Args:
        pixels: uint8 [H, W, C], see `as_colors`.
        labels: uint8 [H, W]; ignored pixels stay as they are.
        palette: the colour of each class.
        fraction: of the label's colour, in 0..1.

    Returns:
        uint8 [H, W, 3].
    """
    shown = as_colors(pixels).copy()
    # A part after the other: the numbers in between take many times the memory of the image.
    rows = max(1, _AT_ONCE // max(1, labels.shape[1]))
    for top in range(0, len(labels), rows):
        part, under = labels[top : top + rows], shown[top : top + rows]
        blended = under + (paint(part, palette).astype(np.float32) - under) * fraction
        np.copyto(under, blended.round().astype(np.uint8), where=(part != IGNORE)[..., None])
    return shown


_AT_ONCE = 1 << 22
"""Pixels that are blended together."""


def errors(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Draw where a prediction is wrong: red; right: light; ignored: dark.

    Args:
        predicted: uint8 [H, W].
        labels: uint8 [H, W].

    Returns:
        uint8 [H, W, 3].
    """
    state = np.where(labels == IGNORE, 2, predicted != labels)
    return np.array([_RIGHT, _WRONG, _UNCOUNTED], dtype=np.uint8)[state]


def index_image(labels: np.ndarray, palette: Sequence[Color]) -> Image.Image:
    """Return an image whose pixel values are the labels, shown in the classes' colours.

    Args:
        labels: uint8 [H, W].
        palette: the colour of each class.
    """
    image = Image.fromarray(labels).convert("P")
    colors = [*palette, *[VOID_COLOR] * (IGNORE + 1 - len(palette))]
    image.putpalette(np.array(colors, dtype=np.uint8).tobytes())
    return image


def legend(names: Sequence[str], palette: Sequence[Color]) -> Image.Image:
    """Draw each class's colour beside its label and name."""
    font = ImageFont.load_default(size=13)
    lines = [f"{label}  {name}" for label, name in enumerate(names)]
    width = 3 * _MARGIN + _SQUARE + int(max(font.getlength(line) for line in lines)) + 1
    image = Image.new("RGB", (width, 2 * _MARGIN + _LINE * len(lines)), "white")
    pen = ImageDraw.Draw(image)
    for row, (line, color) in enumerate(zip(lines, palette, strict=False)):
        top = _MARGIN + row * _LINE
        pen.rectangle((_MARGIN, top, _MARGIN + _SQUARE, top + _SQUARE), fill=color, outline=(120, 120, 120))
        pen.text((2 * _MARGIN + _SQUARE, top - 1), line, fill=(30, 30, 30), font=font)
    return image


_FRACTION = 0.5


def segmentation_sheet(
    batch: SegmentationBatch, data: SegmentationDataset, *, columns: int = 2, most: int = 8, side: int = 720
) -> Image.Image:
    """Draw a batch: each image, its label map in the classes' colours (ignored pixels black), and the two blended.

    Args:
        batch: uint8 or normalised images.
        data: the set it is from.
        columns: cells a row.
        most: highest number of cells.
        side: pixels of a cell's width.

    Returns:
        An RGB image; under each cell stands the sample id and which classes are seen, the largest first.
    """
    cells, captions = [], []
    normalizer = Normalizer(data.mean, data.std)
    for row in range(min(most, len(batch))):
        one = batch.narrow(row, row + 1).to("cpu")
        pixels = one.images if one.images.dtype == torch.uint8 else normalizer.undo(one.images.float()).round()
        labels = torch.from_numpy(paint(one.labels[0].numpy(), data.table.palette)).permute(2, 0, 1)
        image = torch.from_numpy(as_colors(pixels[0].to(torch.uint8).permute(1, 2, 0).numpy())).permute(2, 0, 1)
        blended = torch.lerp(image.float(), labels.float(), _FRACTION).round().to(torch.uint8)
        cells.append(torch.cat([image, labels, blended], dim=2))
        captions.append([f"sample {int(one.index[0])}", _seen(one.labels[0], data)])
    return captioned(cells, captions, columns=columns, side=side)


def _seen(labels: torch.Tensor, data: SegmentationDataset) -> str:
    counts = torch.bincount(labels.flatten().long(), minlength=IGNORE + 1)
    order = counts.argsort(descending=True)
    names = [*data.classes, *[""] * (IGNORE - len(data.classes)), "ignored"]
    return ", ".join(f"{names[at]} {counts[at] / labels.numel():.0%}" for at in order.tolist() if counts[at])
