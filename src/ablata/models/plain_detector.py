"""Plain detectors in torchvision's convention: `model=det.py:MyDetector model.width=8`.

A class, or a function that returns a module, such as torchvision's own. It is called with a list of images, float32
[3, H, W] in 0..1, each of its own size, and in training with a list of targets: `boxes` [N, 4] (left, top, right,
bottom in pixels), `labels` [N], and `masks` [N, H, W] where `model.masks` asks for them. In training it returns a dict
of losses, in evaluation a dict for each image: boxes, labels, scores, perhaps masks [N, 1, H, W]. Labels count from 1,
and `num_classes` is given with the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart, settings_for
from ablata.models.detection.backbones import BackboneFpn, BackboneFpnModule
from ablata.models.detection.base import DetectionBackbone, Detector, DetectorSettings, ImageDetections
from ablata.models.detection.detection_dicts import from_dicts, refused, told
from ablata.models.plain import GIVEN, PlainBackboneModule, build_module, check_module_class
from ablata.structures.detection import Objects


class PlainDetector(PlainPart, DetectorSettings):
    """Settings of an object detector that is a plain module class."""

    raw_images: ClassVar[bool] = True
    counted_on: ClassVar[str] = "cpu"
    masks: bool = False
    """It is trained with masks of objects, and predicts such."""

    def predicts_masks(self) -> bool:
        """Tell whether it is trained with masks of objects, and predicts such."""
        return bool(self.masks)

    def build(self, classes: int, graph: Tensor | None = None, in_channels: int = 3) -> PlainDetectorModel:
        """Make the detector; see `DetectorSettings.build`."""
        return PlainDetectorModel(build_module(self, classes + 1, in_channels), self, classes)


def detector(thing: Any, reference: str) -> type[PlainDetector]:
    """Return the settings class of a module class, or of a function that returns a module, as a detector.

    Raises:
        SettingsError: it is neither.
    """
    return settings_for(PlainDetector, check_module_class(thing, reference), reference, GIVEN)


class PlainBackboneFpn(PlainPart, DetectionBackbone):
    """Feature pyramid network (FPN) of 256 channels over a backbone that is a plain module class."""

    def build(self, in_channels: int = 3) -> BackboneFpnModule:
        """Make the backbone.

        Raises:
            SettingsError: it lacks a feature map of one of the strides 4, 8, 16 and 32.
        """
        backbone = PlainBackboneModule(build_module(self, None, in_channels), in_channels, self.kind)
        return BackboneFpnModule(backbone, BackboneFpn().channels)


def below_pyramid(thing: Any, reference: str) -> type[PlainBackboneFpn]:
    """Return the settings class of a module class, or of a function that returns a module, below a feature pyramid.

    Raises:
        SettingsError: it is neither.
    """
    return settings_for(PlainBackboneFpn, check_module_class(thing, reference), reference, GIVEN)


class PlainDetectorModel(Detector):
    """A plain detector behind the interface of ours.

    Args:
        network: in torchvision's convention.
        settings: for its name, and whether it has masks.
        classes: K, without the background.
    """

    def __init__(self, network: nn.Module, settings: PlainDetector, classes: int) -> None:
        super().__init__()
        self.network, self.settings, self.classes = network, settings, classes

    def forward(
        self,
        images: Tensor,
        sizes: list[tuple[int, int]] | None = None,
        objects: tuple[Objects, ...] | None = None,
        most: int | None = None,
    ) -> dict[str, Tensor] | list[ImageDetections]:
        """Return the network's losses where there is a truth, else its detections; see `Detector.forward`.

        Raises:
            SettingsError: the network returns something else, or is to propose a number of boxes.
        """
        if images.is_meta:
            raise NotImplementedError("what a detector computes depends on values")
        sizes = sizes or [(images.shape[-2], images.shape[-1])] * len(images)
        each = [image[:, :height, :width] for image, (height, width) in zip(images, sizes, strict=True)]
        if objects is not None:
            return self._losses(self.network(each, [self._target(target) for target in objects]))
        if most is not None:
            raise SettingsError(
                "A protocol with a number of boxes needs a detector that proposes boxes",
                found=f"@{most} for {self.settings.kind}",
                do="--protocol without @",
            )
        masks, most = self.settings.predicts_masks(), self.settings.max_detections
        return from_dicts(
            self.network(each), sizes, source=self.settings.kind, classes=self.classes, first=1, masks=masks, most=most
        )

    def signature(self, images: Tensor) -> Tensor:
        """Return boxes and scores of what is found on the images, behind a 0; see `Detector.signature`."""
        found = self(images)
        return torch.cat(
            [images.new_zeros(1), *(values.flatten() for one in found for values in (one.boxes, one.scores))]
        )

    @torch.no_grad()
    def check(self, images: Tensor, sizes: list[tuple[int, int]]) -> None:
        """Detect on images once, to refuse what is no list of detections; see `Detector.check`."""
        self.eval()
        self(images, sizes)

    def _target(self, objects: Objects) -> dict[str, Tensor]:
        target = {"boxes": objects.boxes.float(), "labels": objects.labels + 1}
        if self.settings.predicts_masks() and isinstance(objects.masks, Tensor):
            target["masks"] = objects.masks.to(torch.uint8)
        return target

    def _losses(self, found: Any) -> dict[str, Tensor]:
        scalars = isinstance(found, Mapping) and all(
            isinstance(value, Tensor) and value.numel() == 1 and value.is_floating_point() for value in found.values()
        )
        if not scalars or not found:
            raise refused(self.settings.kind, "a dict of scalar losses in training", told(found))
        return {str(name): value.reshape(()) for name, value in found.items()}
