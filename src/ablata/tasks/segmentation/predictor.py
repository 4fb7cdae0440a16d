"""A trained segmenter as it is handed on: network, classes with their colours, ways to be shown an image."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.settings import restore
from ablata.data.io.crop import backend_name
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.labels.table import VOID_CLASS_COLOUR, Colour, default_palette
from ablata.engine.hardware.precision import Precision, choose_precision
from ablata.models.segmentation.base import Segmenter
from ablata.tasks.predictor import Predictor
from ablata.tasks.segmentation.argmax import likeliest
from ablata.tasks.segmentation.protocols import protocol_settings
from ablata.tasks.segmentation.sliding_window import SegmentationProtocol, SlidingWindow


@dataclass(frozen=True)
class SegmentationPredictor(Predictor):
    """A segmenter and what its predictions mean; arguments as of `Predictor`.

    Args:
        graph_size: height and width of the images that `exportable` takes; None: the size trained on.
    """

    graph_size: tuple[int, int] | None = None

    title: ClassVar[str] = "segmenter"
    pipeline: ClassVar[str] = "image-segmentation"
    use: ClassVar[str] = "ablata predict FOLDER IMAGE_OR_VIDEO... --output OUT"

    @property
    def scored(self) -> tuple[str, ...]:
        """Return the classes that are predicted: all but a void class."""
        return tuple(self.contract["scored_classes"])

    @property
    def palette(self) -> tuple[Colour, ...]:
        """Return red, green, blue of each class."""
        count = len(self.classes)
        palette = [*self.contract.get("palette", default_palette(count)), VOID_CLASS_COLOUR]
        return tuple((red, green, blue) for red, green, blue in palette[:count])

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the images that `exportable` takes."""
        return self.graph_size or super().size

    @property
    def protocols(self) -> tuple[str, ...]:
        """Return the ways in which it was scored, the first of which it was compared by."""
        return tuple(self.contract["protocols"])

    def protocol(self, name: str) -> SegmentationProtocol:
        """Return the settings of a way to be shown images, with the windows of the training's recipe.

        Raises:
            SettingsError: there is no such way.
        """
        windows = self.facts.get("recipe", {}).get("sliding_window")
        return protocol_settings(name, restore(SlidingWindow, windows, source=self.source) if windows else None)

    def exportable(self) -> nn.Module:
        """Return a module that maps images [B, C, H, W] of one size to logits [B, K, H, W]."""
        return FullSize(self.network, self.size)

    def output(self) -> str:
        """Say what comes out of `exportable`."""
        height, width = self.size
        return f"logits: float32 [batch, {len(self.classes)}, {height}, {width}]"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        return f"scored as {', '.join(self.protocols)}; a graph takes images of its own size only"

    def read(self, file: Path) -> np.ndarray:
        """Read an image at its own size, uint8 [H, W, 3].

        Raises:
            DataError: the file is no image or damaged.
        """
        return np.asarray(to_rgb(open_image(file, str(file)), str(file)))

    @torch.no_grad()
    def predict(self, pixels: np.ndarray, protocol: SegmentationProtocol) -> np.ndarray:
        """Return the likeliest scored class of every pixel, in the number format that the network was scored in.

        Args:
            pixels: uint8 [H, W, 3].
            protocol: how the image is shown.

        Returns:
            uint8 [H, W].

        Raises:
            SettingsError: the image is smaller than the network can take.
        """
        assert isinstance(self.network, Segmenter)
        self.network.to(memory_format=torch.channels_last)
        images = self.prepared(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
        with self.precision().autocast():
            found = likeliest(self.network, images, protocol, len(self.scored))
        return found[0].to(torch.uint8).numpy()

    def precision(self) -> Precision:
        """Return the number format of the training's recipe, or what this machine has in place of fp16."""
        wanted = str(self.facts.get("recipe", {}).get("compute", {}).get("precision", "auto"))
        return choose_precision("auto" if wanted == "fp16" else wanted, torch.device("cpu"))

    def refuse_other_backend(self) -> None:
        """Check that images are decoded here as they were in training; painted images fit any decoder.

        Raises:
            CheckpointError: another library or version would do it; both are named.
        """
        if self.contract["image_backend"] != "exact":
            self.refuse_backend(backend_name("pil", None))


def sized(model: Predictor, size: str | None) -> Predictor:
    """Return a segmenter whose graph takes images of another size.

    Args:
        model: what is exported.
        size: height and width as `1024x2048`; None: as it is.

    Raises:
        SettingsError: it is no segmenter, has no such form, or is too small for the network.
    """
    if size is None:
        return model
    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if match is None or not isinstance(model, SegmentationPredictor):
        raise SettingsError(
            "--size must be HEIGHTxWIDTH in pixels, of a segmenter", found=f"{size} for a {model.title}"
        )
    wanted = int(match[1]), int(match[2])
    assert isinstance(model.network, Segmenter)
    model.network.refuse_small(wanted)
    return replace(model, graph_size=wanted)


class FullSize(nn.Module):
    """A segmenter that returns logits of its images' size.

    Args:
        network: a `Segmenter`.
        size: height and width of the images.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, K, H, W]."""
        assert isinstance(self.network, Segmenter)
        return self.network.full_size(self.network(images), self.size)["logits"]
