"""A trained detector as it is handed on: network, classes with their numbers, sizes that images are brought to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.data.detection.dataset import STRIDE, normalized
from ablata.data.io.encoded import Encoded
from ablata.data.transforms.detection import resize
from ablata.data.transforms.normalization import Normalizer
from ablata.models.detection.mask_rcnn import MaskRcnnNetwork
from ablata.structures.batch import Rows
from ablata.structures.detection import DetectionBatch, Detections, joined, no_objects
from ablata.tasks.detection.postprocess import found_in, on_original
from ablata.tasks.predictor import Predictor


@dataclass(frozen=True)
class DetectionPredictor(Predictor):
    """A detector and what its detections mean; arguments as of `Predictor`, but the network is a `MaskRcnnNetwork`."""

    title: ClassVar[str] = "detector"
    pipeline: ClassVar[str] = "object-detection"
    use: ClassVar[str] = "ablata predict FOLDER IMAGE... --output OUT"

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width that its operations are counted for; it takes images of any size."""
        shape = self.data.nominal_shape()
        return shape.height, shape.width

    @property
    def category_ids(self) -> tuple[int, ...]:
        """Return the number of each class in its annotations."""
        return tuple(self.contract["category_ids"])

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return the ways in which it was scored, the first of which it was compared by."""
        return tuple(self.contract["protocols"])

    def exportable(self) -> nn.Module:
        """Refuse: how many regions there are depends on the image.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(
            "A detector is handed on as a folder", found="a graph asked for", do="--format hub, then ablata predict"
        )

    def logits(self, images: Tensor) -> Tensor:
        """Return how likely each anchor shows an object, as logits [B, A]."""
        network = self.network
        assert isinstance(network, MaskRcnnNetwork)
        objectness: list[Tensor] = network.proposals.network.head(network.backbone(images))[0]
        return torch.cat([one.flatten(1) for one in objectness], dim=1)

    def output(self) -> str:
        """Say what comes out."""
        return f"boxes{' and masks' if self.contract['masks'] else ''} of {len(self.classes)} classes with scores"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        sizes = self.data.augment
        if sizes.min_size is None:
            return "images come at their own size"
        shorter = sizes.min_size_test or sizes.min_size[-1]
        return f"the shorter side is resized to {shorter}, the longer to at most {sizes.max_size}"

    def read(self, file: Path) -> np.ndarray:
        """Read an image at its own size, uint8 [H, W, 3].

        Raises:
            DataError: the file is no image or damaged.
        """
        return Encoded(file.read_bytes(), str(file), "ignored").array("opencv")

    @torch.no_grad()
    def detect(self, pixels: np.ndarray, boxes: int | None = None) -> Detections:
        """Return what is on an image.

        Args:
            pixels: uint8 [H, W, 3].
            boxes: how many are proposed; None: as the settings say.
        """
        height, width = pixels.shape[:2]
        scaled, _ = resize(pixels, no_objects(), self.data.augment.scale(height, width, False, 0.0))
        images, sizes = joined([torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))], STRIDE)
        batch = DetectionBatch(
            images,
            sizes,
            torch.tensor([[height, width]]),
            (no_objects(),),
            torch.zeros(1, dtype=torch.int64),
            Rows(0, 1),
        )
        normalizer = Normalizer(self.contract["mean"], self.contract["std"], False)
        (found,) = found_in(self.network, normalized(batch, normalizer), boxes)
        return on_original(found, sizes[0], batch.originals[0])

    def refuse_other_backend(self) -> None:
        """Check that images are decoded here as they were in training; painted images fit any decoder.

        Raises:
            CheckpointError: another library would do it; both are named.
        """
        if self.contract["image_backend"] != "exact":
            self.refuse_backend("opencv")
