"""Contact sheets: training batches as images, as the network sees them. A wrong preprocessing shows at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ablata.data.drawing.panels import as_colors
from ablata.data.transforms.normalization import Normalizer
from ablata.structures.batch import ImageBatch

_MARGIN = 6
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


def contact_sheet(
    batch: ImageBatch,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    originals: Sequence[np.ndarray] | None = None,
    columns: int = 8,
    most: int = 32,
    side: int = 128,
) -> Image.Image:
    """Draw a contact sheet of a batch with its labels.

    Args:
        batch: uint8 or normalised images [B, C, H, W]; mixed labels are shown with their weights.
        classes: class names.
        mean: with which the images were normalised.
        std: with which the images were normalised.
        originals: the same samples as they are stored, uint8 [H, W, C] of any sizes, drawn on the left of each; None:
            only `batch`.
        columns: cells a row.
        most: highest number of cells.
        side: pixels of an image's longer side; small images are enlarged by whole factors, so that pixels stay visible.

    Returns:
        An RGB image.
    """
    count = min(most, len(batch))
    normalizer = Normalizer(mean, std)
    images = [_enlarged(pixels, side) for pixels in _pixels(batch, normalizer, count)]
    if originals is not None:
        before = [_enlarged(np.ascontiguousarray(as_colors(pixels)), side) for pixels in originals[:count]]
        images = [_beside(left, right) for left, right in zip(before, images, strict=True)]
    return _arranged(images, _captions(batch, classes, count), columns)


def captioned(
    images: Sequence[Tensor], captions: Sequence[list[str]], *, columns: int = 6, side: int = 160
) -> Image.Image:
    """Draw images, uint8 [C, H, W] of any sizes, with lines of text under each.

    Args:
        images: the images; at least one.
        captions: lines for each.
        columns: cells a row.
        side: pixels of an image's longer side, as in `contact_sheet`.

    Returns:
        An RGB image.
    """
    pixels = [np.ascontiguousarray(as_colors(image.permute(1, 2, 0).numpy())) for image in images]
    return _arranged([_enlarged(image, side) for image in pixels], list(captions), columns)


def arranged(images: Sequence[Image.Image], captions: Sequence[str], columns: int) -> Image.Image:
    """Lay drawings of any sizes into rows of `columns`, each with a line of text under it."""
    return _arranged(list(images), [[caption] for caption in captions], columns)


def _pixels(batch: ImageBatch, normalizer: Normalizer, count: int) -> list[np.ndarray]:
    """Return uint8 [H, W, 3] images."""
    images = batch.images[:count].cpu()
    if images.dtype != torch.uint8:
        images = normalizer.undo(images.float()).round().to(torch.uint8)
    return list(np.ascontiguousarray(as_colors(images.permute(0, 2, 3, 1).numpy())))


def _captions(batch: ImageBatch, classes: Sequence[str], count: int) -> list[list[str]]:
    """Return one line an image, or two with weights where labels are mixed."""
    labels = batch.labels.tolist()[:count]
    if batch.mixing is None:
        return [[classes[label]] for label in labels]
    partners, weights = batch.mixing.labels_b.tolist(), batch.mixing.lam.tolist()
    return [
        [f"{weight:.2f} {classes[label]}", f"{1 - weight:.2f} {classes[partner]}"]
        for label, partner, weight in zip(labels, partners, weights, strict=False)
    ]


def _enlarged(pixels: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(pixels)
    longer = max(image.size)
    if longer > side:
        return image.resize((image.width * side // longer, image.height * side // longer))
    factor = side // longer
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    joined = Image.new("RGB", (left.width + right.width + 2, max(left.height, right.height)), _PAPER)
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width + 2, 0))
    return joined


def _arranged(images: list[Image.Image], captions: list[list[str]], columns: int) -> Image.Image:
    font = ImageFont.load_default(size=13)
    line = 16
    lines = max(len(caption) for caption in captions)
    columns = min(columns, len(images))
    wide = max(image.width for image in images) + _MARGIN
    high = max(image.height for image in images) + lines * line + _MARGIN
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * wide + _MARGIN, rows * high + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = _MARGIN + number % columns * wide, _MARGIN + number // columns * high
        sheet.paste(image, (left, top))
        for offset, text in enumerate(caption):
            place = (left, top + image.height + offset * line)
            pen.text(place, _fitted(text, font, wide - _MARGIN), fill=_INK, font=font)
    return sheet


def _fitted(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Shorten a text with dots until it fits."""
    shown = text
    while len(shown) > 1 and font.getlength(shown) > width:
        shown = shown.removesuffix("..")[:-1] + ".."
        if len(shown) <= 3:
            break
    return shown
