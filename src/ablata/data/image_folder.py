"""Image classification from files: how pictures are decoded and cropped, wherever they lie, and the folder layout of
ImageNet and its subsets, train/CLASS/*.jpg and val/CLASS/*.jpg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator

from ablata.base.errors import DataError
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.augment import Augment
from ablata.data.cache import folder_digest
from ablata.data.crop import (
    Aspect,
    Backend,
    Interpolation,
    backend_name,
    crop,
    draw_box,
    image_size,
    own_decoder,
    resize,
    resize_and_place,
    scaled,
    shrink_factor,
)
from ablata.data.decode import Decoder, Orientation, decode_array, open_image, to_rgb, upright_size
from ablata.data.folders import LAYOUT, Listing, has_layout, list_folder
from ablata.data.framing import OWN, Framing, frame
from ablata.data.loaders import Reader
from ablata.data.prepared import prepare
from ablata.data.roots import find_root
from ablata.data.source import ImageData, NominalShape
from ablata.data.splits import make_splits
from ablata.data.stored import Member, Stored, content_of
from ablata.data.workers import FileReader, worker_count


class ImageFiles(Settings):
    """What sets of encoded pictures have in common; not itself a choice."""

    kind: str
    """Which layout."""
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
    aspect: Aspect = "log_uniform"
    """How width / height is drawn: uniform in the logarithm (torchvision), or uniform and then, for half of
    the crops, turned over (pycls)."""
    resize: Annotated[int, Field(ge=1)] = 256
    """Evaluation resizes the shorter side to this and cuts the central square of `size`."""
    interpolation: Interpolation = "bilinear"
    """Filter of resizing."""
    backend: Backend = "torch"
    """What resizes: torch (PIL's filter within two grey levels, fastest), pil, or opencv (no antialias)."""
    reduced: bool = False
    """Decode JPEGs at 1/2, 1/4 or 1/8 where a training crop still has enough pixels: faster, other pixels."""
    decoder: Decoder | None = None
    """What decodes JPEGs: pil or opencv, which give the same pixels; null: pil for the backend pil, else opencv."""
    orientation: Orientation = "applied"
    """The orientation that a camera noted (EXIF): applied, or ignored as in torchvision's references."""
    prepared: Annotated[int | None, Field(ge=1)] = None
    """Decode once to this shorter side, kept in the cache folder, and crop from there; null: decode at every step."""
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
    def _ordered(self) -> Self:
        if self.resize < self.size:
            raise ValueError(f"resize >= size must hold, got resize={self.resize}, size={self.size}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"0 < scale[0] <= scale[1] <= 1 must hold, got {list(self.scale)}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"0 < ratio[0] <= ratio[1] must hold, got {list(self.ratio)}")
        if self.prepared is not None and self.prepared < self.resize:
            raise ValueError(f"prepared >= resize must hold, got prepared={self.prepared}, resize={self.resize}")
        if self.prepared is not None and self.reduced:
            raise ValueError("reduced decodes at every step, prepared but once: set reduced=false or prepared=null")
        return self

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 1,000 classes of ImageNet."""
        return NominalShape(classes=1000, channels=3, height=self.size, width=self.size)

    def backend_name(self) -> str:
        """Name what decodes and resizes, with its version and filter, as checkpoints record it."""
        return backend_name(
            self.backend,
            self.interpolation,
            self.reduced,
            decoder=self.decoder,
            orientation=self.orientation,
            prepared=self.prepared,
        )

    def assemble(self, listing: Listing, fingerprint: str, cache: Path) -> FolderImages:
        """Put a listing together with its pictures, which are prepared here where the settings ask for it.

        Raises:
            DataError: a picture that is to be prepared does not decode, or minival is out of range.
        """
        pictures: dict[Literal["train", "val"], Sequence[Stored]] = dict(listing.files)
        if self.prepared is not None:
            cut, name = FileCut(self), self.backend_name().replace(" ", "-")
            for source, found in listing.files.items():
                target = cache / "prepared" / f"{fingerprint[:32]}-{source}-{name}"
                pictures[source] = prepare(found, target, cache, size_of=cut.prepared_size, decode=cut.prepare)
        return FolderImages(self, listing, fingerprint, pictures)


class ImageFolder(ImageFiles):
    """Image files in one folder a class, under train/ and val/ (or validation/ or test/)."""

    kind: Literal["image_folder"] = "image_folder"

    def build(self, cache: Path) -> FolderImages:
        """Find and list the files, and hash them the first time.

        Raises:
            DataError: the layout is not there, a class is empty or unknown.
        """
        root = find_root(self.root, default=None, fits=has_layout, layout=LAYOUT, cache=cache)
        listing = list_folder(root)
        return self.assemble(listing, folder_digest(root, listing.hashed, cache), cache)


@dataclass(frozen=True)
class FileCut:
    """Decodes a file and crops it as the settings say; sent to worker processes."""

    settings: ImageFiles
    framing: Framing = OWN

    def __call__(self, picture: Stored, random: np.random.Generator | None) -> np.ndarray:
        """Return uint8 [size, size, 3]; `random` places training crops, None asks for the framing of evaluation.

        Raises:
            DataError: the file cannot be read or decoded.
        """
        pixels, policy = self._framed(picture, random), self.settings.augment.policy
        return pixels if random is None or policy is None else policy.change_picture(pixels, random)

    def _framed(self, picture: Stored, random: np.random.Generator | None) -> np.ndarray:
        settings = self.settings
        if random is not None and settings.crop == "random_resized":
            return self._random_resized(picture, random)
        image = picture if isinstance(picture, np.ndarray) else self._decoded(*_opened(picture), str(picture))
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

    def prepared_size(self, picture: Stored) -> tuple[int, int]:
        """Return height and width of what `prepare` gives, from the file's header."""
        if isinstance(picture, np.ndarray):
            return image_size(picture)
        return self._prepared_size(upright_size(_opened(picture)[1], self.settings.orientation))

    def prepare(self, picture: Stored) -> np.ndarray:
        """Decode a picture to uint8 [H, W, 3], the shorter side at most `settings.prepared`.

        Raises:
            DataError: the file cannot be read or decoded.
        """
        if isinstance(picture, np.ndarray):
            return picture
        image = self._decoded(*_opened(picture), str(picture))
        size = self._prepared_size(image_size(image))
        return np.asarray(image) if size == image_size(image) else self._resized(image, size)

    def _prepared_size(self, size: tuple[int, int]) -> tuple[int, int]:
        short = self.settings.prepared
        return size if short is None or min(size) <= short else scaled(size, short)

    def _random_resized(self, picture: Stored, random: np.random.Generator) -> np.ndarray:
        settings = self.settings
        if isinstance(picture, np.ndarray):
            box = draw_box(random, image_size(picture), settings.scale, settings.ratio, settings.aspect)
            return self._resized(crop(picture, box), (settings.size, settings.size))
        content, header = _opened(picture)
        height, width = upright_size(header, settings.orientation)
        left, top, right, bottom = box = draw_box(
            random, (height, width), settings.scale, settings.ratio, settings.aspect
        )
        shrink = shrink_factor(box, settings.size) if settings.reduced else 1
        image = self._decoded(content, header, str(picture), shrink)
        if image_size(image)[1] < width:
            left, top, right, bottom = left // shrink, top // shrink, right // shrink, bottom // shrink
        return self._resized(crop(image, (left, top, right, bottom)), (settings.size, settings.size))

    def _resized(self, image: Image.Image | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return resize(image, size, self.settings.backend, self.settings.interpolation)

    def _decoded(self, content: bytes, header: Image.Image, where: str, shrink: int = 1) -> Image.Image | np.ndarray:
        settings = self.settings
        decoder = settings.decoder or own_decoder(settings.backend)
        if decoder != "pil" or settings.backend != "pil":
            return decode_array(content, header, where, shrink, decoder, settings.orientation)
        if shrink > 1:
            header.draft(None, (header.width // shrink, header.height // shrink))
        return to_rgb(header, where, settings.orientation)


def _opened(picture: Path | Member) -> tuple[bytes, Image.Image]:
    """Return the encoded bytes and the image, its header read."""
    content = content_of(picture)
    return content, open_image(content, str(picture))


class FolderImages(ImageData):
    """A data set of image files.

    Attributes:
        changes_pictures: its reading processes can change pictures one by one.

    Args:
        settings: how to crop and decode.
        listing: the files and their classes.
        fingerprint: hash of the files' names and contents.
        pictures: what is read, by source: the listing's files, or the prepared ones.
    """

    changes_pictures: ClassVar[bool] = True

    def __init__(
        self,
        settings: ImageFiles,
        listing: Listing,
        fingerprint: str,
        pictures: Mapping[Literal["train", "val"], Sequence[Stored]],
    ) -> None:
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
        self.settings, self.files, self.pictures = settings, listing.files, pictures

    def reader(self, source: Literal["train", "val"], *, training: bool, seed: int, device: torch.device) -> Reader:
        """Return a reader of the source's files in worker processes."""
        workers = worker_count(self.settings.workers)
        return FileReader(self.pictures[source], FileCut(self.settings), seed, workers, pinned=device.type == "cuda")

    def framed_reader(self, source: Literal["train", "val"], framing: Framing, device: torch.device) -> Reader:
        """Return a reader of the source's files in worker processes, framed for evaluation."""
        self.refuse_framing(framing)
        cut, workers = FileCut(self.settings, framing), worker_count(self.settings.workers)
        return FileReader(self.pictures[source], cut, 0, workers, pinned=device.type == "cuda")

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
        short = self.settings.resize if framing.ratio is None else round(self.settings.size / framing.ratio)
        if self.settings.prepared is not None and self.settings.prepared < short:
            raise DataError(
                f"data.prepared must be at least {short} for a protocol that looks at {short} pixels",
                found=f"data.prepared={self.settings.prepared}",
                do=f"set data.prepared={short}, or null",
            )

    def damaged(self) -> list[str]:
        """Decode every file and return a message for each that fails, in the order of the files."""

        def problem(picture: Path | Member) -> str | None:
            try:
                to_rgb(_opened(picture)[1], str(picture))
            except DataError as error:
                return error.found
            return None

        with ThreadPoolExecutor() as pool:
            return [found for found in pool.map(problem, [*self.files["train"], *self.files["val"]]) if found]
