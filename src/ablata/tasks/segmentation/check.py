"""What a segmentation training refuses before its first step: outputs, labels and losses that do not fit together."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ablata.base.errors import AblataError, DataError, SettingsError
from ablata.losses.segmentation.base import PixelLoss, PixelLossSettings
from ablata.models.segmentation.base import Segmenter
from ablata.structures.segmentation import IGNORE, SegmentationBatch


def check_shapes(model: Segmenter, classes: Sequence[str], batch: SegmentationBatch, *, alone: bool) -> None:
    """Compare every output of a network in training with the labels of a batch, pixel for pixel.

    Only shapes are computed: no weight, statistic or random number changes.

    Args:
        model: the network.
        classes: of the data.
        batch: augmented, as many rows as go through the network at once.
        alone: whether this is the only process; of several each may have one image, as they normalise together.

    Raises:
        DataError: a label is neither a class nor ignored, or an output has another size than the labels.
        SettingsError: the network cannot take such a batch in training.
    """
    _check_labels(batch.labels, len(classes))
    height, width = batch.labels.shape[1:]
    ghost = copy.deepcopy(model).to("meta").train()
    if not alone:
        for module in ghost.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    try:
        outputs = ghost.full_size(ghost(batch.images.to("meta")), (height, width))
    except SettingsError:
        raise
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            "The network must be able to train on such images",
            found=f"{len(batch)} at once of {height}x{width} (height x width): {str(error).splitlines()[0]}",
            do="set another data.augment.crop.height and width, or train.batch",
        ) from None
    wanted = (len(batch), len(classes), height, width)
    for name, logits in outputs.items():
        if logits.shape != wanted:
            raise DataError(
                f"An output must have a logit for each of the {len(classes)} classes at every pixel of its label",
                found=f"{name} is {_by(logits.shape)} for labels {_by(batch.labels.shape)}",
                do="return [B, num_classes, h, w]",
            )


def check_loss(settings: PixelLossSettings, criterion: PixelLoss, classes: Sequence[str]) -> None:
    """Refuse a loss whose lists are not as long as the class list.

    Raises:
        SettingsError: names the loss.
    """
    device = next((buffer.device for buffer in criterion.buffers()), torch.device("cpu"))
    labels = torch.zeros(1, 1, 1, dtype=torch.int64, device=device)
    try:
        criterion(torch.zeros(1, len(classes), 1, 1, device=device), labels)
    except AblataError:
        raise
    except ValueError as error:
        raise SettingsError(
            "The loss must fit the classes of the data",
            found=f"loss={getattr(settings, 'kind', settings)}: {error}",
            do="change loss, or the number its settings name",
        ) from None


def _check_labels(labels: Tensor, classes: int) -> None:
    odd = labels[(labels >= classes) & (labels != IGNORE)]
    if len(odd):
        found = ", ".join(map(str, torch.unique(odd)[:5].tolist()))
        raise DataError(
            f"Labels must be classes 0 to {classes - 1}, or {IGNORE} for ignored",
            found=f"{len(odd):,} pixels with labels such as {found}",
            do="number them so, and give 255 to pixels without a class",
        )


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
