"""The loss of a segmentation: of every head's logits, and the contrast of pixels where there is one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ablata.base.parts import part_name
from ablata.data.label_tools.statistics import ClassCounts, LabelStatistics
from ablata.data.label_tools.survey import Count
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.engine.task import RunContext
from ablata.losses.contrastive.any import AnySegmentationLoss
from ablata.losses.contrastive.pixel_contrast import PixelContrast, PixelContrastLoss
from ablata.losses.segmentation.base import PixelLoss
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy, WeightsOf
from ablata.losses.segmentation.dice import CrossEntropyDice
from ablata.losses.segmentation.lovasz import CrossEntropyLovasz
from ablata.losses.segmentation.ohem import OhemLoss
from ablata.models.segmentation.base import Segmenter
from ablata.tasks.class_weights import weights_by_name
from ablata.tasks.segmentation.check import check_loss


class SegmentationLoss:
    """The loss of one training, with what it remembers.

    Args:
        settings: the recipe's loss.
        aux_weight: factor on the loss of each auxiliary head.
        model: gets a projection where pixels are contrasted; its names do not change.
        data: the data set.
        context: device and share of the work; vectors of all processes enter the memory of each.

    Attributes:
        outputs: the model's outputs that are used.

    Raises:
        SettingsError: the loss does not fit the classes.
    """

    def __init__(
        self,
        settings: AnySegmentationLoss,
        aux_weight: float,
        model: Segmenter,
        data: SegmentationDataset,
        context: RunContext,
    ) -> None:
        self.model, self.aux_weight, self._done = model, aux_weight, 0.0
        self.contrast: PixelContrastLoss | None = None
        self.pixel_loss: PixelLoss | None = None
        self._factor, self._product = 1.0, False
        pixel_loss = settings.pixel_loss if isinstance(settings, PixelContrast) else settings
        if isinstance(settings, PixelContrast):
            self._factor, self._product = settings.pixel_loss_weight, settings.combine == "product"
            model.projection = settings.projection.build(embedded_width(model, data))
            self.contrast = settings.build_contrast(
                len(data.classes), data.ignore, context.device, context.group.all_gather
            )
        if pixel_loss is not None:
            pixel_loss = with_weight_values(pixel_loss, data)
            self.kind, self.pixel_loss = part_name(pixel_loss), pixel_loss.build(data.ignore).to(context.device)
            if isinstance(self.pixel_loss, OhemLoss):
                self.pixel_loss.pool = context.group.all_gather_with_grad
            check_loss(pixel_loss, self.pixel_loss, data.classes)
        self.outputs = ("logits", *model.aux, *(("embedding",) if self.contrast else ()))

    def at(self, done: float) -> None:
        """Note which part of the training is over, in [0, 1)."""
        self._done = done

    def terms(self, outputs: Mapping[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the loss of the main head under its name, of each auxiliary head as `aux<stride>`, and `contrast`; or
        the product of first and last as `<name>_times_contrast`.

        Args:
            outputs: the model's in training.
            labels: int64 [B, H, W].
        """
        logits = self.model.for_loss(outputs, (labels.shape[1], labels.shape[2]))
        terms: dict[str, Tensor] = {}
        if self.pixel_loss is not None:
            terms = {
                self.kind if name == "logits" else name: self._factor
                * (1 if name == "logits" else self.aux_weight)
                * self.pixel_loss(value, labels)
                for name, value in logits.items()
            }
        if self.contrast is not None:
            contrast = self.contrast(outputs["embedding"], outputs["logits"], labels, self._done)
            # Heads without a loss still belong to the step: processes wait for every parameter's gradient.
            unused = 0.0 if terms else sum(0.0 * value.float().sum() for value in logits.values())
            if self._product:
                terms[f"{self.kind}_times_contrast"] = terms.pop(self.kind) * contrast
            else:
                terms["contrast"] = contrast + unused
        return terms

    def state(self) -> Mapping[str, Tensor]:
        """Return what the memory of the contrast holds."""
        return self.contrast.state() if self.contrast else {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned.

        Raises:
            ValueError: there is no memory, or one of another size.
        """
        if self.contrast is not None and self.contrast.queues:
            self.contrast.load_state(state)
        elif state:
            raise ValueError(f"there is no memory to take {sorted(state)}")


def embedded_width(model: Segmenter, data: SegmentationDataset) -> int:
    """Return the channels of what a projection sees; nothing is computed but shapes."""
    ghost = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad():
        seen: Tensor = ghost(torch.empty(1, data.channels, *data.image_size, device="meta"))[model.embedded]
    return seen.shape[1]


def with_weight_values(loss: Any, data: SegmentationDataset) -> Any:
    """Return a loss over pixels, or None, with the weights of its cross-entropy as numbers.

    Raises:
        SettingsError: a weight is given to a class that the data do not have.
    """
    if isinstance(loss, CrossEntropyLovasz | CrossEntropyDice):
        return loss.model_copy(update={"cross_entropy": with_weight_values(loss.cross_entropy, data)})
    if not isinstance(loss, PixelCrossEntropy) or loss.weights is None or isinstance(loss.weights, tuple):
        return loss
    weights = (
        weights_by_name(loss.weights, data.classes)
        if isinstance(loss.weights, dict)
        else weights_by_count(loss.weights, data)
    )
    return loss.model_copy(update={"weights": weights})


def weights_by_count(way: WeightsOf, data: SegmentationDataset) -> tuple[float, ...]:
    """Return the weights that `ablata data stats` makes of the training set."""
    pixels = data.image_pixels("train")
    areas = data.image_sizes("train").prod(1)
    classes = tuple(
        ClassCounts(name, {"train": Count(int(own.sum()), int((own > 0).sum()), int(areas[own > 0].sum()))})
        for name, own in zip(data.classes, pixels.T, strict=True)
    )
    total = int(pixels.sum())
    statistics = LabelStatistics(
        classes, {"train": total}, {"train": len(pixels)}, {"train": int(areas.sum()) - total}, "train"
    )
    return tuple(statistics.weights(way).tolist())
