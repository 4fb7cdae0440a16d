"""Image files as a classification set: settings, decoding and cropping of a file, and the data set itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator

from ablata.base.cores import worker_count
from ablata.base.errors import DataError
from ablata.base.settings import INCIDENTAL, ON_DISK
from ablata.data.classification.decoded_cache import prepare
from ablata.data.classification.file_list import Listing, OnInvalid, OnSmall
from ablata.data.io.crop import (
    Aspect,
    Backend,
    Interpolation,
    backend_name,
    crop,
    default_decoder,
    draw_random_resized_crop,
    image_size,
    resize,
    resize_and_random_crop,
    scaled,
    shrink_factor,
)
from ablata.data.io.decode import COLORS, Decoder
from ablata.data.io.encoded import Encoded
from ablata.data.io.eval_crop import DEFAULT, EvalCrop, eval_crop
from ablata.data.io.file_slice import Member, Stored, content_of
from ablata.data.io.read_settings import ImageReadSettings
from ablata.data.loading.band_constants import Constants, constants_of, constants_of_files
from ablata.data.loading.dataset import ClassificationSettings, NominalShape
from ablata.data.loading.file_reader import FileReader
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import ImageReader
from ablata.data.loading.splits import Source, Split, make_splits, splits_digest
from ablata.data.transforms.classification import Augment
from ablata.structures.batch import ImageBatch


class ImageFileSettings(ImageReadSettings, ClassificationSettings):
    """Settings of data sets of image files; the base of several, not itself a choice."""

    kind: str
    """Which layout."""
    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    """The folder, or a zip of it; a name alone is looked for under ABLATA_DATA."""
    size: Annotated[int, Field(ge=1)] = 224
    """Height and width of the images that training and evaluation see."""
    crop: Literal["random_resized", "random", "center"] = "random_resized"
    """Training crop: a random part resized to `size`; or the shorter side resized to `resize` and a random or central
    square cut out."""
    scale: tuple[float, float] = (0.08, 1.0)
    """Lowest and highest fraction of the image's area in a random resized crop."""
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
    prepared: Annotated[int | None, Field(ge=1)] = None
    """Decode once to this shorter side, kept in the cache folder, and crop from there; null: decode at every step."""
    workers: Annotated[int | None, Field(ge=0), INCIDENTAL] = None
    """Processes that read files; null: one a core, at most 8; 0: none beside the training's own."""
    on_invalid: OnInvalid = "refuse"
    """Images that are unreadable, cut short, animated or huge, classes without images or not in train, tars that
    are not whole: refuse names them before the first step; skip leaves them out and lists them in the run's record."""
    on_small: OnSmall = "keep"
    """Images smaller than `size`: enlarged like all others and named in a notice, refused, or left out and listed."""
    minival: int | float = 0
    """Samples (or a fraction, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    augment: Augment = Augment(flip=True)
    """Augmentation of training batches, after cropping."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Mean of red, green, blue over the training set, in 0..1 (ImageNet's); of another number of bands those of the
    training set are measured where ImageNet's stand here."""
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
        if self.band_count != COLORS and self.augment.policy is not None:
            raise ValueError(
                f"augment.policy changes colors, but the images have {self.band_count} bands: set it to null"
            )
        if self.prepared is not None and self.reduced:
            raise ValueError("reduced decodes at every step, prepared but once: set reduced=false or prepared=null")
        return self

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for, with the 1,000 classes of ImageNet."""
        return NominalShape(classes=1000, channels=self.band_count, height=self.size, width=self.size)

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


@dataclass(frozen=True)
class DecodeAndCrop:
    """Decode an image file and crop it as the settings say; sent to worker processes."""

    settings: ImageFileSettings
    evaluation: EvalCrop = DEFAULT

    def __call__(self, stored: Stored, random: np.random.Generator | None) -> np.ndarray:
        """Return uint8 [size, size, C]; `random` places training crops, None asks for the evaluation crop.

        Raises:
            DataError: the file cannot be read or decoded.
        """
        pixels, policy = self._cropped(stored, random), self.settings.augment.policy
        return pixels if random is None or policy is None else policy.change_image(pixels, random)

    def _cropped(self, stored: Stored, random: np.random.Generator | None) -> np.ndarray:
        settings = self.settings
        if random is not None and settings.crop == "random_resized":
            return self._random_resized(stored, random)
        image = stored if isinstance(stored, np.ndarray) else self._decoded(self._encoded(stored))
        if random is not None and settings.crop == "random":
            return resize_and_random_crop(
                image, settings.resize, settings.size, settings.backend, settings.interpolation, random
            )
        return eval_crop(
            image,
            self.evaluation,
            size=settings.size,
            short=settings.resize,
            backend=settings.backend,
            interpolation=settings.interpolation,
        )

    def prepared_size(self, stored: Stored) -> tuple[int, int]:
        """Return height and width of what `prepare` gives, from the file's header."""
        if isinstance(stored, np.ndarray):
            return image_size(stored)
        return self._prepared_size(self._encoded(stored).size)

    def prepare(self, stored: Stored) -> np.ndarray:
        """Decode an image to uint8 [H, W, C], the shorter side at most `settings.prepared`.

        Raises:
            DataError: the file cannot be read or decoded.
        """
        if isinstance(stored, np.ndarray):
            return stored
        image = self._decoded(self._encoded(stored))
        size = self._prepared_size(image_size(image))
        return np.asarray(image) if size == image_size(image) else self._resized(image, size)

    def _prepared_size(self, size: tuple[int, int]) -> tuple[int, int]:
        short = self.settings.prepared
        return size if short is None or min(size) <= short else scaled(size, short)

    def _random_resized(self, stored: Stored, random: np.random.Generator) -> np.ndarray:
        settings = self.settings
        if isinstance(stored, np.ndarray):
            box = draw_random_resized_crop(random, image_size(stored), settings.scale, settings.ratio, settings.aspect)
            return self._resized(crop(stored, box), (settings.size, settings.size))
        encoded = self._encoded(stored)
        height, width = encoded.size
        left, top, right, bottom = box = draw_random_resized_crop(
            random, (height, width), settings.scale, settings.ratio, settings.aspect
        )
        shrink = shrink_factor(box, settings.size) if settings.reduced else 1
        image = self._decoded(encoded, shrink)
        if image_size(image)[1] < width:
            left, top, right, bottom = left // shrink, top // shrink, right // shrink, bottom // shrink
        return self._resized(crop(image, (left, top, right, bottom)), (settings.size, settings.size))

    def _resized(self, image: Image.Image | np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return resize(image, size, self.settings.backend, self.settings.interpolation)

    def _encoded(self, stored: Path | Member) -> Encoded:
        return Encoded(content_of(stored), str(stored), self.settings.image_rules())

    def _decoded(self, encoded: Encoded, shrink: int = 1) -> Image.Image | np.ndarray:
        decoder = self.settings.decoder or default_decoder(self.settings.backend)
        if decoder == "pil" and self.settings.backend == "pil" and self.settings.band_count == COLORS:
            return encoded.image(shrink)
        return encoded.array(decoder, shrink)


def assemble(settings: ImageFileSettings, listing: Listing, fingerprint: str, cache: Path) -> ImageFileDataset:
    """Put a listing together with its images, which are prepared here where the settings ask for it.

    Args:
        settings: how to crop and decode.
        listing: what remains after screening.
        fingerprint: of these images.
        cache: where prepared images are kept.

    Raises:
        DataError: an image that is to be prepared does not decode, or minival is out of range.
    """
    images: dict[Source, Sequence[Stored]] = dict(listing.files)
    if settings.prepared is not None:
        cut, name = DecodeAndCrop(settings), settings.backend_name().replace(" ", "-")
        for source, found in listing.files.items():
            rules = settings.image_rules().key()
            target = cache / "prepared" / f"{fingerprint[:32]}-{source}-{name}{rules and '-' + rules}"
            images[source] = prepare(
                found, target, cache, size_of=cut.prepared_size, decode=cut.prepare, bands=settings.band_count
            )
    return ImageFileDataset(settings, listing, fingerprint, images, cache)


class ImageFileDataset(LabeledImageDataset):
    """An image classification data set read from files by worker processes.

    Attributes:
        augments_each_image: its reading processes can change images one by one.
        test_digest: fingerprint of the test split's files; empty where there is none.

    Args:
        settings: how to crop and decode.
        listing: the files and their classes.
        fingerprint: hash of the files' names and contents.
        images: what is read, by source: the listing's files, or the prepared ones.
        cache: where the constants of other bands than three are kept.
    """

    augments_each_image: ClassVar[bool] = True
    test_digest: str = ""

    def __init__(
        self,
        settings: ImageFileSettings,
        listing: Listing,
        fingerprint: str,
        images: Mapping[Source, Sequence[Stored]],
        cache: Path,
    ) -> None:
        splits = make_splits(listing.labels["train"], len(listing.labels["val"]), settings.minival, settings.split_seed)
        if (test := listing.labels.get("test")) is not None:
            splits["test"] = Split("test", np.arange(len(test), dtype=np.int64))
        rules, rows = settings.image_rules(), splits["train"].index

        def measured() -> Constants:
            kept = f"{fingerprint[:32]}-{splits_digest({'train': splits['train']})}-{rules.key()}constants.json"
            return constants_of_files([listing.files["train"][row] for row in rows], rules, cache / "inspected" / kept)

        mean, std = constants_of(settings.mean, settings.std, rules.channels, measured)
        super().__init__(
            classes=listing.classes,
            image_size=(settings.size, settings.size),
            channels=rules.channels,
            fingerprint=fingerprint,
            mean=mean,
            std=std,
            labels=dict(listing.labels),
            splits=splits,
            augment=settings.augment,
            backend=settings.backend_name(),
            notices=listing.notices,
            left_out=tuple(map(str, listing.left_out)),
        )
        self.settings, self.files, self.images = settings, listing.files, images
        self._listing = listing

    def item_names(self, split: str, index: np.ndarray) -> tuple[str, ...]:
        """Return the images' paths relative to the set's root; see `Dataset.item_names`."""
        source = self.split(split).source
        return tuple(self._listing.where(source, int(row)) for row in index)

    def stored_images(self, batch: ImageBatch) -> list[np.ndarray]:
        """Return the images of a training batch whole, as their files hold them; see the base."""
        rules, files = self.settings.image_rules(), self.files["train"]
        chosen = (files[row] for row in batch.index.tolist())
        return [Encoded(content_of(file), str(file), rules).array("opencv") for file in chosen]

    def test_fingerprint(self) -> str:
        """Return the fingerprint of the test split; see `Dataset.test_fingerprint`."""
        return self.test_digest[:24]

    def image_reader(
        self, source: Source, *, training: bool, seed: int, device: torch.device, crop: EvalCrop = DEFAULT
    ) -> ImageReader:
        """Return a reader of the source's files in worker processes; without `training` it cuts as `crop` says."""
        workers = worker_count(self.settings.workers)
        return FileReader(
            self.images[source], DecodeAndCrop(self.settings, crop), seed, workers, pinned=device.type == "cuda"
        )

    def check_crop(self, crop: EvalCrop) -> None:
        """Check that views are smaller than the image they are cut from.

        Raises:
            DataError: they are not.
        """
        if crop.whole and self.settings.resize == self.settings.size:
            raise DataError(
                "Several views of an image need data.resize > data.size",
                found=f"data.resize={self.settings.resize}, data.size={self.settings.size}",
                do=f"set data.resize={round(self.settings.size * 256 / 224)}",
            )
        short = self.settings.resize if crop.ratio is None else round(self.settings.size / crop.ratio)
        if self.settings.prepared is not None and self.settings.prepared < short:
            raise DataError(
                f"data.prepared must be at least {short} for a protocol that looks at {short} pixels",
                found=f"data.prepared={self.settings.prepared}",
                do=f"set data.prepared={short}, or null",
            )
