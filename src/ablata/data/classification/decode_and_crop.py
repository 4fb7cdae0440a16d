"""An image file on its way to pixels of the loader's size: decoded and cropped as the settings say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ablata.data.classification.image_files import ImageFiles
from ablata.data.io.crop import crop, draw_box, image_size, own_decoder, resize, resize_and_place, scaled, shrink_factor
from ablata.data.io.encoded import Encoded
from ablata.data.io.eval_crop import DEFAULT, EvalCrop, eval_crop
from ablata.data.io.file_slice import Member, Stored, content_of


@dataclass(frozen=True)
class FileCut:
    """Decodes a file and crops it as the settings say; sent to worker processes."""

    settings: ImageFiles
    evaluation: EvalCrop = DEFAULT

    def __call__(self, stored: Stored, random: np.random.Generator | None) -> np.ndarray:
        """Return uint8 [size, size, 3]; `random` places training crops, None asks for the evaluation crop.

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
            return resize_and_place(
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
        """Decode an image to uint8 [H, W, 3], the shorter side at most `settings.prepared`.

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
            box = draw_box(random, image_size(stored), settings.scale, settings.ratio, settings.aspect)
            return self._resized(crop(stored, box), (settings.size, settings.size))
        encoded = self._encoded(stored)
        height, width = encoded.size
        left, top, right, bottom = box = draw_box(
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
        return Encoded(content_of(stored), str(stored), self.settings.orientation)

    def _decoded(self, encoded: Encoded, shrink: int = 1) -> Image.Image | np.ndarray:
        decoder = self.settings.decoder or own_decoder(self.settings.backend)
        if decoder == "pil" and self.settings.backend == "pil":
            return encoded.image(shrink)
        return encoded.array(decoder, shrink)
