"""A trained classifier as it is handed on: network, classes, preparation of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from ablata.data.classification.image_files import FileCut, ImageFiles
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.tasks.classification.protocols import Protocol
from ablata.tasks.predictor import Predictor


@dataclass(frozen=True)
class ClassificationPredictor(Predictor):
    """A classifier and what its predictions mean; arguments as of `Predictor`."""

    title: ClassVar[str] = "classifier"
    pipeline: ClassVar[str] = "image-classification"
    use: ClassVar[str] = "ablata predict FOLDER IMAGE..."

    @property
    def from_files(self) -> bool:
        """Tell whether the network was trained on image files, which are cut and resized as they are read."""
        return isinstance(self.data, ImageFiles)

    @property
    def protocol(self) -> Protocol:
        """Return the protocol by which the network was compared."""
        first: Protocol = self.contract["protocols"][0]
        return first

    def exportable(self) -> nn.Module:
        """Return a module that maps images [B, C, H, W] to logits [B, K]."""
        return _Logits(self.network)

    def output(self) -> str:
        """Say what comes out of `exportable`."""
        return f"logits: float32 [batch, {len(self.classes)}]"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        if not self.from_files:
            return "images come at this size"
        return (
            f"the shorter side is resized to {self.data.resize} ({self.contract['image_backend']}), "
            f"the central square of {self.data.size} cut"
        )

    def read(self, file: Path, crop: EvalCrop = DEFAULT) -> Tensor:
        """Read an image as the training's evaluation would.

        Args:
            file: any image file.
            crop: which part of it; only for networks trained on image files.

        Returns:
            uint8 [C, H, W]. Where the training images lay in memory, ready at their size, another size is cut to
            the same shape from the middle and resized by PIL (bilinear, antialias).

        Raises:
            DataError: the file is no image or damaged.
        """
        if self.from_files:
            return torch.from_numpy(FileCut(self.data, crop)(file, None).copy()).permute(2, 0, 1)
        image = to_rgb(open_image(file, str(file)), str(file))
        height, width = self.size
        if image.size != (width, height):
            image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image if self.contract["channels"] == 3 else image.convert("L")).copy()
        return torch.from_numpy(pixels.reshape(height, width, -1)).permute(2, 0, 1)

    def refuse_other_backend(self) -> None:
        """Check that images are decoded and resized here as they were in training.

        Raises:
            CheckpointError: another library or version would do it; both are named.
        """
        if self.from_files:
            self.refuse_backend(self.data.backend_name())


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)["logits"]
        return logits
