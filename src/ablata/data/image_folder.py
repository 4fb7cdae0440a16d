"""Image classification from folders: train/CLASS/*.jpg and val/CLASS/*.jpg, the layout of ImageNet and its subsets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator

from ablata.base.errors import DataError
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.augment import Augment
from ablata.data.cache import folder_digest
from ablata.data.crop import (
    Backend,
    Interpolation,
    backend_name,
    crop,
    draw_box,
    resize,
    resize_and_place,
    shrink_factor,
)
from ablata.data.decode import decode_array, open_image, to_rgb, upright_size
from ablata.data.folders import LAYOUT, Listing, has_layout, list_folder
from ablata.data.framing import OWN, Framing, frame
from ablata.data.roots import find_root
from ablata.data.source import ImageData, NominalShape, Reader
from ablata.data.splits import make_splits
from ablata.data.workers import FileReader, worker_count


class ImageFolder(Settings):
    """Image files in one folder a class, under train/ and val/ (or validation/ or test/)."""

    kind: Literal["image_folder"] = "image_folder"
    root: Annotated[str | None, INCIDENTAL] = None
    """The folder, or a zip of it; a name alone is looked for under ABLATA_DATA."""
    size: Annotated[int, Field(ge=1)] = 224
    """Height and width of the images that training and evaluation see."""
    crop: Literal["random_resized", "random", "centre"] = "random_resized"
    """Training crop: a random part resized to `size`; or the shorter side resized to `resize` and a random or central
    square cut out."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Lowest and highest share of the image's area in a random resized crop."""
    ratio: tuple[float, float] = (0.75, 4 / 3)
    """Lowest and highest width / height of a random resized crop."""
    resize: Annotated[int, Field(ge=1)] = 256
    """Evaluation resizes the shorter side to this and cuts the central square of `size`."""
    interpolation: Interpolation = "bilinear"
    """Filter of resizing."""
    backend: Backend = "torch"
    """What resizes: torch (PIL's filter within two grey levels, fastest), pil, or opencv (no antialias)."""
    reduced: bool = False
    """Decode JPEGs at 1/2, 1/4 or 1/8 where a training crop still has enough pixels: faster, other pixels."""
    workers: Annotated[int | None, Field(ge=0), INCIDENTAL] = None
    """Processes that read files; null: one a core, at most 8; 0: none beside the training's own."""
    minival: int | float = 0
    """Samples (or a share, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    augment: Augment = Augment(flip=True)
    """Augmentation of training batches, after cropping."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Mean of red, green, blue over the training set, in 0..1 (ImageNet's)."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Standard deviation of red, green, blue, in 0..1 (ImageNet's)."""

    @model_validator(mode="after")
    def _ordered(self) -> ImageFolder:
        if self.resize < self.size:
            raise ValueError(f"resize >= size must hold, got resize={self.resize}, size={self.size}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"0 < scale[0] <= scale[1] <= 1 must hold, got {list(self.scale)}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"0 < ratio[0] <= ratio[1] must hold, got {list(self.ratio)}")
        return self

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 1,000 classes of ImageNet."""
        return NominalShape(classes=1000, channels=3, height=self.size, width=self.size)

    def backend_name(self) -> str:
        """Name what decodes and resizes, with its version and filter, as checkpoints record it."""
        return backend_name(self.backend, self.interpolation, self.reduced)

    def build(self, cache: Path) -> FolderImages:
        """Find and list the files, and hash them the first time.

        Raises:
            DataError: the layout is not there, a class is empty or unknown.
        """
        root = find_root(self.root, default=None, fits=has_layout, layout=LAYOUT, cache=cache)
        listing = list_folder(root)
        return FolderImages(self, listing, folder_digest(root, listing.hashed, cache))


@dataclass(frozen=True)
class FileCut:
    """Decodes a file and crops it as the settings say; sent to worker processes."""

    settings: ImageFolder
    framing: Framing = OWN

    def __call__(self, file: Path, random: np.random.Generator | None) -> np.ndarray:
        """Return uint8 [size, size, 3]; `random` places training crops, None asks for the framing of evaluation.

        Raises:
            DataError: the file cannot be read or decoded.
        """
        settings = self.settings
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DataError("Every image file must be readable", found=f"{file}: {error.strerror}") from None
        header = open_image(content, str(file))
        if random is not None and settings.crop == "random_resized":
            return self._random_resized(content, header, str(file), random)
        image = self._decoded(content, header, str(file))
        if random is not None and settings.crop == "random":
            return resize_and_place(
                image, settings.resize, settings.size, settings.backend, settings.interpolation, random
            )
        return frame(
            image,
            self.framing,
            size=settings.size,
            short=settings.resize,
            backend=settings.backend,
            interpolation=settings.interpolation,
        )

    def _random_resized(
        self, content: bytes, header: Image.Image, where: str, random: np.random.Generator
    ) -> np.ndarray:
        settings, (height, width) = self.settings, upright_size(header)
        left, top, right, bottom = box = draw_box(random, (height, width), settings.scale, settings.ratio)
        shrink = shrink_factor(box, settings.size) if settings.reduced else 1
        image = self._decoded(content, header, where, shrink)
        seen_width = image.width if isinstance(image, Image.Image) else image.shape[1]
        if seen_width < width:
            left, top, right, bottom = left // shrink, top // shrink, right // shrink, bottom // shrink
        part = crop(image, (left, top, right, bottom))
        return resize(part, (settings.size, settings.size), settings.backend, settings.interpolation)

    def _decoded(self, content: bytes, header: Image.Image, where: str, shrink: int = 1) -> Image.Image | np.ndarray:
        if self.settings.backend != "pil":
            return decode_array(content, header, where, shrink)
        if shrink > 1:
            header.draft(None, (header.width // shrink, header.height // shrink))
        return to_rgb(header, where)


class FolderImages(ImageData):
    """A data set of image files.

    Args:
        settings: how to crop and decode.
        listing: the files and their classes.
        fingerprint: hash of the files' names and contents.
    """

    def __init__(self, settings: ImageFolder, listing: Listing, fingerprint: str) -> None:
        super().__init__(
            classes=listing.classes,
            image_size=(settings.size, settings.size),
            channels=3,
            fingerprint=fingerprint,
            mean=settings.mean,
            std=settings.std,
            labels=listing.labels,
            splits=make_splits(
                listing.labels["train"], len(listing.labels["val"]), settings.minival, settings.split_seed
            ),
            augment=settings.augment,
            backend=settings.backend_name(),
            notices=listing.notices,
        )
        self.settings, self.files = settings, listing.files

    def reader(self, source: Literal["train", "val"], *, training: bool, seed: int, device: torch.device) -> Reader:
        """Return a reader of the source's files in worker processes."""
        workers = worker_count(self.settings.workers)
        return FileReader(self.files[source], FileCut(self.settings), seed, workers, pinned=device.type == "cuda")

    def framed_reader(self, source: Literal["train", "val"], framing: Framing, device: torch.device) -> Reader:
        """Return a reader of the source's files in worker processes, framed for evaluation."""
        self.refuse_framing(framing)
        cut, workers = FileCut(self.settings, framing), worker_count(self.settings.workers)
        return FileReader(self.files[source], cut, 0, workers, pinned=device.type == "cuda")

    def refuse_framing(self, framing: Framing) -> None:
        """Check that views are smaller than the picture they are cut from.

        Raises:
            DataError: they are not.
        """
        if framing.whole and self.settings.resize == self.settings.size:
            raise DataError(
                "Several views of a picture need data.resize > data.size",
                found=f"data.resize={self.settings.resize}, data.size={self.settings.size}",
                do=f"set data.resize={round(self.settings.size * 256 / 224)}",
            )

    def damaged(self) -> list[str]:
        """Decode every file and return a message for each that fails, in the order of the files."""

        def problem(file: Path) -> str | None:
            try:
                to_rgb(open_image(file, str(file)), str(file))
            except DataError as error:
                return error.found
            return None

        with ThreadPoolExecutor() as pool:
            return [found for found in pool.map(problem, [*self.files["train"], *self.files["val"]]) if found]
