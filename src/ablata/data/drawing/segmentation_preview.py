"""Contact sheets of segmentation: image, label and both together, as training sees them."""

from __future__ import annotations

import torch
from PIL import Image

from ablata.data.drawing.contact_sheet import captioned
from ablata.data.labels.table import paint
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.transforms.normalization import Normalizer
from ablata.structures.segmentation import IGNORE, SegmentationBatch

_SHARE = 0.5


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
        image = pixels[0].to(torch.uint8)
        blended = torch.lerp(image.float(), labels.float(), _SHARE).round().to(torch.uint8)
        cells.append(torch.cat([image, labels, blended], dim=2))
        captions.append([f"sample {int(one.index[0])}", _seen(one.labels[0], data)])
    return captioned(cells, captions, columns=columns, side=side)


def _seen(labels: torch.Tensor, data: SegmentationDataset) -> str:
    counts = torch.bincount(labels.flatten().long(), minlength=IGNORE + 1)
    order = counts.argsort(descending=True)
    names = [*data.classes, *[""] * (IGNORE - len(data.classes)), "ignored"]
    return ", ".join(f"{names[at]} {counts[at] / labels.numel():.0%}" for at in order.tolist() if counts[at])
