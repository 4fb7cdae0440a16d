"""How images are seen in training: which others come in, sizes and flips, drawn for each image of an epoch.

Every number is addressed by the run's seed, the epoch and the image's row, never by a global generator: a resumed
training sees the same images, whatever the number of threads and processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablata.base.seeds import derive
from ablata.data.transforms.detection import DetectionAugment

_MOSAIC, _JITTER, _PASTE, _PASTED = range(4)
"""Tell the draws of an image's operations apart, beyond those of flip and `min_size`."""


@dataclass(frozen=True)
class MosaicView:
    """What is put together into one image.

    Attributes:
        others: row numbers of the three other images.
        middle: two numbers in [0, 1), where the four meet.
    """

    others: tuple[int, int, int]
    middle: tuple[float, float]


@dataclass(frozen=True)
class View:
    """A view of an image: how it is read.

    Attributes:
        row: its row number in the source.
        mirrored: left to right, with paired classes swapped.
        scale: factor on its size, or on that of its mosaic; without `jitter`.
        mosaic: the others that it is put together with; None: it comes alone.
        jitter: three numbers in [0, 1), of large-scale jitter; None: it is not jittered.
        pasted: the view of which objects are pasted over it; None: nothing is.
        paste_seed: of the place and the choice of those objects.
    """

    row: int
    mirrored: bool = False
    scale: float = 1.0
    mosaic: MosaicView | None = None
    jitter: tuple[float, float, float] | None = None
    pasted: View | None = None
    paste_seed: int = 0


@dataclass(frozen=True)
class ViewDraws:
    """Draws the views of training images.

    Attributes:
        settings: sizes and random changes.
        seed: the run's seed.
        sizes: height and width of each image of the source.
        pool: int64 [n], row numbers of the images that may come in as others: those that are trained on.
        with_objects: int64 [m], those among them that have objects to paste.
    """

    settings: DetectionAugment
    seed: int
    sizes: Sequence[tuple[int, int]]
    pool: np.ndarray
    with_objects: np.ndarray

    def view(self, row: int, epoch: int) -> View:
        """Return how an image is seen in an epoch, counted from 0."""
        place = (epoch, row)
        whole, paste = self._mosaic(place, epoch), self.settings.copy_paste
        if paste is None or not len(self.with_objects) or not active(paste.until_epoch, epoch):
            return self._sized(row, place, whole)
        random = self._random(*place, _PASTE)
        if random.random() >= paste.probability:
            return self._sized(row, place, whole)
        other = int(random.choice(self.with_objects))
        pasted = self._sized(other, (*place, _PASTED), None)
        return self._sized(row, place, whole, pasted, int(random.integers(2**62)))

    def _sized(
        self, row: int, place: tuple[int, ...], mosaic: MosaicView | None, pasted: View | None = None, seed: int = 0
    ) -> View:
        settings = self.settings
        flip, side = self._random(*place).random(2)
        jitter = None
        if settings.scale_jitter is not None:
            factor, down, across = self._random(*place, _JITTER).random(3).tolist()
            jitter = (factor, down, across)
        size = self.sizes[row]
        if mosaic is not None and settings.mosaic is not None:
            size = (2 * settings.mosaic.side, 2 * settings.mosaic.side)
        scale = settings.scale(*size, True, float(side)) if jitter is None else 1.0
        return View(row, bool(settings.flip and flip < 0.5), scale, mosaic, jitter, pasted, seed)

    def _mosaic(self, place: tuple[int, ...], epoch: int) -> MosaicView | None:
        mosaic = self.settings.mosaic
        if mosaic is None or not active(mosaic.until_epoch, epoch):
            return None
        random = self._random(*place, _MOSAIC)
        if random.random() >= mosaic.probability:
            return None
        first, second, third = random.choice(self.pool, 3).tolist()
        down, across = random.random(2).tolist()
        return MosaicView((first, second, third), (down, across))

    def _random(self, *place: int) -> np.random.Generator:
        return np.random.default_rng(derive(self.seed, "augment", *place))


def active(until: int | None, epoch: int) -> bool:
    """Tell whether something goes on in an epoch, counted from 0, that ends before epoch `until`; None: never."""
    return until is None or epoch < until
