"""What sets of image files have in common: how files are decoded and cropped, and what becomes of faulty ones."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.classification.file_list import OnInvalid, OnSmall
from ablata.data.io.crop import Aspect, Backend, Interpolation, backend_name
from ablata.data.io.decode import Decoder, Orientation
from ablata.data.loading.dataset import NominalShape
from ablata.data.transforms.classification import Augment


class ImageFiles(Settings):
    """What sets of encoded images have in common; not itself a choice."""

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
    """What decodes JPEGs: pil, opencv or torchvision, which give the same pixels; null: pil for the backend pil, else
    opencv."""
    orientation: Orientation = "applied"
    """The orientation that a camera noted (EXIF): applied, or ignored as in torchvision's references."""
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
        if self.reduced and self.decoder == "torchvision":
            raise ValueError("torchvision decodes JPEGs at their full size only: set reduced=false or decoder=opencv")
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
