"""A trained segmenter for use on images and videos: label maps, overlays, how much of an image each class takes.

masks/NAME.png        pixel values are labels, the palette the classes' colours; of a video masks/NAME/000000.png, ...
overlays/NAME.jpg     the image under its colours; of a video overlays/NAME.mp4
classes.txt           label and name of each class, as `ablata` reads class lists
legend.png            the colours
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ablata.base.errors import DataError, UserError
from ablata.base.files import atomic_path, write_text
from ablata.base.settings import restore
from ablata.data.drawing.segmentation import index_image, legend, overlay
from ablata.data.io.crop import backend_name
from ablata.data.io.decode import COLORS, MOST_PIXELS, RULES, ImageRules, TooLargeError, decode_bands, open_image
from ablata.data.io.input_files import InputFile
from ablata.data.io.read_settings import ImageReadSettings
from ablata.data.io.video import Video, is_video, video_writer
from ablata.data.io.windows import ImageWindows
from ablata.data.labels.table import VOID_CLASS_COLOR, Color, default_palette
from ablata.engine.hardware.memory import keep_memory, return_memory
from ablata.engine.hardware.precision import Precision, choose_precision
from ablata.engine.predictor import Prediction, PredictOptions, Predictor, refuse_file
from ablata.models.segmentation.base import Segmenter
from ablata.tasks.segmentation.argmax import predict_labels
from ablata.tasks.segmentation.protocols import protocol_settings
from ablata.tasks.segmentation.sliding_window import SegmentationProtocol, SlidingWindow

_QUALITY = 90
_LONGEST = 65_500
"""A JPEG's sides have at most so many pixels: overlays of larger images leave out rows and columns."""
_ANY = 1 << 40
"""Pixels of an image that is predicted in parts: as many as memory holds."""


@dataclass(frozen=True, kw_only=True)
class MaskPrediction(Prediction):
    """How much of an image or a video each class takes.

    Args:
        classes: name and fraction of the pixels, in 0..1, the largest first; classes without a pixel are left out.
        frames: 1 of an image.
        top: how many classes `text` names.
    """

    classes: tuple[tuple[str, float], ...] = ()
    frames: int = 0
    top: int = 5

    def text(self) -> str:
        """Return the file and its largest classes."""
        named = ", ".join(f"{name} {fraction:.1%}" for name, fraction in self.classes[: self.top])
        frames = f" ({self.frames} frames)" if self.frames > 1 else ""
        return f"{self.file}{frames}: {named}" if named else ""

    def values(self) -> dict[str, Any]:
        """Return the classes and the number of frames."""
        classes = [{"name": name, "share": fraction} for name, fraction in self.classes]
        return {"classes": classes, "frames": self.frames}


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
    videos: ClassVar[bool] = True
    training_only: ClassVar[tuple[str, ...]] = ("projection.",)

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """Return the classes that are predicted: all but a void class."""
        return tuple(self.contract["scored_classes"])

    @property
    def palette(self) -> tuple[Color, ...]:
        """Return red, green, blue of each class."""
        count = len(self.classes)
        palette = [*self.contract.get("palette", default_palette(count)), VOID_CLASS_COLOR]
        return tuple((red, green, blue) for red, green, blue in palette[:count])

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of the images that `exportable` takes."""
        return self.graph_size or super().size

    def protocol(self, name: str) -> SegmentationProtocol:
        """Return a protocol's settings, with the sliding window of the training's recipe.

        Raises:
            SettingsError: there is no such protocol.
        """
        windows = self.facts.get("recipe", {}).get("sliding_window")
        return protocol_settings(name, restore(SlidingWindow, windows, source=self.source) if windows else None)

    def exportable(self) -> nn.Module:
        """Return a module that maps images [B, C, H, W] of one size to logits [B, K, H, W]."""
        return FullSize(self.network, None if self.free_size else self.size)

    def output(self) -> str:
        """Say what comes out of `exportable`."""
        height, width = ("height", "width") if self.free_size else self.size
        return f"logits: float32 [batch, {len(self.classes)}, {height}, {width}]"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        sizes = "of any size" if self.free_size else "of its own size only"
        return f"scored as {', '.join(self.protocols)}; a graph takes images {sizes}"

    def read(self, file: Path) -> np.ndarray:
        """Read an image at its own size, uint8 [H, W, C].

        Raises:
            DataError: the file is no image or damaged.
        """
        return decode_bands(open_image(file, str(file), self.rules.max_pixels), str(file), self.rules)[0]

    @property
    def rules(self) -> ImageRules:
        """Return how image files become 8-bit RGB: as those of the training did."""
        return self.data.image_rules() if isinstance(self.data, ImageReadSettings) else RULES

    @torch.no_grad()
    def predict(self, pixels: np.ndarray, protocol: SegmentationProtocol) -> np.ndarray:
        """Return the argmax over the scored classes at every pixel, at the precision that the network was scored at.

        Args:
            pixels: uint8 [H, W, C].
            protocol: scales, flips and windows.

        Returns:
            uint8 [H, W].

        Raises:
            SettingsError: the image is smaller than the network can take.
        """
        assert isinstance(self.network, Segmenter)
        self.network.to(memory_format=torch.channels_last)
        images = self.prepared(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
        with self.precision().autocast():
            found = predict_labels(self.network, images, protocol, len(self.scored_classes))
        return found[0].to(torch.uint8).numpy()

    def predict_tiled(self, image: ImageWindows, protocol: SegmentationProtocol, tile: int) -> np.ndarray:
        """Return what `predict` does, a part of the image after the other, each with a quarter of its side around it.

        Networks that look at a whole image (pooling over it) see a part: the classes may differ from `predict`'s.

        Args:
            image: parts are read from it, so that a file that allows it is never in memory whole.
            protocol: scales, flips and windows.
            tile: height and width of a part, in pixels.

        Returns:
            uint8 [H, W].
        """
        height, width = image.size
        labels, around = np.empty((height, width), dtype=np.uint8), tile // 4
        for y in range(0, height, tile):
            for x in range(0, width, tile):
                top, left = max(y - around, 0), max(x - around, 0)
                seen = image.read(top, left, y + tile + around, x + tile + around)
                part = self.predict(seen, protocol)[y - top : y - top + tile, x - left : x - left + tile]
                labels[y : y + tile, x : x + tile] = part
                # What a part leaves in gaps is too small for the next one, and grew by a GiB over fifty parts.
                return_memory()
        return labels

    def precision(self) -> Precision:
        """Return the precision of the training's recipe, or what this machine has in place of fp16."""
        wanted = str(self.facts.get("recipe", {}).get("compute", {}).get("precision", "auto"))
        return choose_precision("auto" if wanted == "fp16" else wanted, torch.device("cpu"))

    def with_size(self, size: str) -> Self:
        """Return the same with an exported graph that takes images of another size; see `Predictor.with_size`."""
        match = re.fullmatch(r"(\d+)x(\d+)", size)
        if match is None:
            return super().with_size(size)
        wanted = int(match[1]), int(match[2])
        assert isinstance(self.network, Segmenter)
        self.network.refuse_small(wanted)
        return replace(self, graph_size=wanted)

    def predict_files(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[MaskPrediction]:
        """Predict a class for every pixel of images and videos; `options.output` is a folder."""
        refuse_file(options.output, self.title)
        # A protocol of the user's own is a way to score; images without labels are shown as they are.
        usual = next((name for name in self.protocols if "function" not in self.contract["protocols"][name]), "ss")
        protocol = self.protocol(options.protocol or usual)
        self.refuse_backend(backend_name("pil", None, orientation=self.rules.orientation))
        # Between the parts of a large image and its overlay, memory that is kept is memory that lies idle.
        if options.tile is None:
            keep_memory()
        if options.output is not None:
            names = "".join(f"{label} {name}\n" for label, name in enumerate(self.scored_classes))
            write_text(options.output / "classes.txt", names)
            _save(legend(self.scored_classes, self.palette), options.output / "legend.png")
        return (replace(self._predicted(entry, protocol, options), top=options.top) for entry in inputs)

    def _predicted(self, entry: InputFile, protocol: SegmentationProtocol, options: PredictOptions) -> MaskPrediction:
        output, tile = options.output, options.tile
        try:
            if is_video(entry.file):
                if self.contract["channels"] != COLORS:
                    raise DataError(
                        "A video needs a network of images of three bands",
                        found=f"one of {self.contract['channels']} bands",
                        do="predict images of these bands, such as TIFF files",
                    )
                return self._video(entry, protocol, output)
            if tile is None:
                whole = ImageWindows(pixels := self.read(entry.file), (pixels.shape[0], pixels.shape[1]))
                return self._written(entry, whole, self.predict(pixels, protocol), output)
            with ImageWindows.open(entry.file, replace(self.rules, max_pixels=_ANY)) as parts:
                return self._written(entry, parts, self.predict_tiled(parts, protocol, tile), output)
        except UserError as error:
            hint = "; --tile 2048 predicts images of any size" if isinstance(error, TooLargeError) else ""
            return MaskPrediction(file=entry.file, problem=f"{error.found or error.must}{hint}")

    def _written(
        self, entry: InputFile, image: ImageWindows, labels: np.ndarray, output: Path | None
    ) -> MaskPrediction:
        """Write a mask and an overlay, where there is a folder for them."""
        written: tuple[Path, ...] = ()
        if output is not None:
            mask, over = output / "masks" / f"{entry.name}.png", output / "overlays" / f"{entry.name}.jpg"
            _save(index_image(labels, self.palette), mask)
            step = max(-(-max(labels.shape) // _LONGEST), math.isqrt(labels.size // MOST_PIXELS) + 1)
            _save(Image.fromarray(overlay(image.shrunk(step), labels[::step, ::step], self.palette)), over)
            written = (mask, over)
        return MaskPrediction(file=entry.file, classes=self._fractions(self._counts(labels)), frames=1, outputs=written)

    def _video(self, entry: InputFile, protocol: SegmentationProtocol, output: Path | None) -> MaskPrediction:
        video, counts, frames = Video(entry.file), np.zeros(len(self.scored_classes), dtype=np.int64), 0
        over = None if output is None else output / "overlays" / f"{entry.name}.mp4"
        with nullcontext() if over is None else video_writer(over, video.rate) as add:
            for pixels in video.frames():
                labels = self.predict(pixels, protocol)
                counts += self._counts(labels)
                if output is not None and add is not None:
                    _save(index_image(labels, self.palette), output / "masks" / entry.name / f"{frames:06d}.png")
                    add(overlay(pixels, labels, self.palette))
                frames += 1
        short = f"{entry.file}: {frames} of {video.told} frames could be read" if frames < video.told else ""
        written = () if output is None or over is None else (output / "masks" / entry.name, over)
        classes = self._fractions(counts)
        return MaskPrediction(file=entry.file, problem=short, outputs=written, classes=classes, frames=frames)

    def _counts(self, labels: np.ndarray) -> np.ndarray:
        # Row by row, as counting makes 64-bit numbers of them.
        counts = (np.bincount(row, minlength=len(self.scored_classes)) for row in labels)
        return sum(counts, np.zeros(len(self.scored_classes), dtype=np.int64))

    def _fractions(self, counts: np.ndarray) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-counts, kind="stable")
        names, total = self.scored_classes, counts.sum()
        return tuple((names[label], float(counts[label] / total)) for label in order if counts[label])


def _save(image: Image.Image, path: Path) -> None:
    with atomic_path(path) as draft:
        image.save(draft, format={".jpg": "JPEG", ".png": "PNG"}[path.suffix], quality=_QUALITY)


class FullSize(nn.Module):
    """A segmenter that returns logits of its images' size.

    Args:
        network: a `Segmenter`.
        size: height and width of the images; None: any.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int] | None) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, K, H, W]."""
        assert isinstance(self.network, Segmenter)
        size = self.size or (images.shape[2], images.shape[3])
        return self.network.full_size(self.network(images), size)["logits"]
