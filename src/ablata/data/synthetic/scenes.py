"""Synthetic street scenes, of which everything is known: for tests, first trainings, and planted relations.

The label of an image is its place (motorway, high street, avenue, park, crossing, suburb), each with a mark of its
own; see `scene_layout.PLACES`. Masks, instances and boxes come with `SceneImages.sample`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.seeds import derive
from ablata.base.settings import Settings, settings_hash
from ablata.data.loading.cache import combined, file_digest, load_array, stored_arrays
from ablata.data.loading.dataset import PAINTED, ClassificationSettings, NominalShape
from ablata.data.loading.in_memory import ImageArrays, InMemoryDataset
from ablata.data.loading.splits import SOURCES, Source
from ablata.data.synthetic.scene_layout import PLACES, RELATIONS, Relation, draw_street
from ablata.data.synthetic.scene_paint import paint
from ablata.data.transforms.classification import Augment
from ablata.structures.scene import SceneSample

_VERSION = 1


class Streets(Settings):
    """Content of the images, apart from how many there are."""

    height: Annotated[int, Field(ge=16)] = 64
    """Pixels."""
    width: Annotated[int, Field(ge=16)] = 64
    """Pixels."""
    scene_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the whole set, apart from any run's seed."""
    density: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the number of cars, buses, persons, lights and signs."""
    ambiguity: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of lights and signs that look alike, so that only their company tells them apart."""
    relations: tuple[Relation, ...] = RELATIONS
    """Which things bring which, how often and where: the co-occurrence matrix and the arrangement."""

    def sample(self, source: Source, row: int) -> SceneSample:
        """Return an image with its masks and boxes; the same in every process."""
        random = np.random.default_rng(derive(self.scene_seed, "data", SOURCES.index(source), row))
        place = PLACES[random.integers(len(PLACES))]
        street = draw_street(random, place, self.relations, self.density)
        return paint(street, self.height, self.width, self.ambiguity, random)


class SceneSettings(Settings):
    """Base of the settings of data sets of street scenes; not itself a choice."""

    kind: str
    """Which data set."""
    train: Annotated[int, Field(ge=1)]
    """Training images."""
    val: Annotated[int, Field(ge=1)]
    """Validation images."""
    streets: Streets = Streets()
    """What the images show."""
    minival: int | float = 0
    """Samples (or a fraction, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    mean: tuple[float, ...] = (0.470, 0.527, 0.502)
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = (0.186, 0.157, 0.257)
    """Standard deviation of red, green, blue, in 0..1."""


class Scenes(SceneSettings, ClassificationSettings):
    """Synthetic street scenes; the label is the kind of place."""

    kind: Literal["scenes"] = "scenes"
    train: Annotated[int, Field(ge=1)] = 4000
    val: Annotated[int, Field(ge=1)] = 1000
    augment: Augment = Augment(flip=True)
    """Augmentation of training batches."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        return NominalShape(len(PLACES), channels=3, height=self.streets.height, width=self.streets.width)

    def build(self, cache: Path) -> SceneImages:
        """Paint the images the first time (about a second for a thousand of 64x64), and map them.

        Raises:
            DataError: minival is out of range.
        """
        return SceneImages(self, cache)


class SceneImages(InMemoryDataset):
    """Synthetic street scenes in memory.

    Args:
        settings: what to paint.
        cache: where the painted images are kept.
    """

    def __init__(self, settings: Scenes, cache: Path) -> None:
        train, train_digest = _painted(settings.streets, "train", settings.train, cache)
        val, val_digest = _painted(settings.streets, "val", settings.val, cache)
        self.streets = settings.streets
        super().__init__(
            train,
            val,
            classes=PLACES,
            fingerprint=combined([train_digest, val_digest]),
            mean=settings.mean,
            std=settings.std,
            minival=settings.minival,
            split_seed=settings.split_seed,
            augment=settings.augment,
            backend=PAINTED,
        )

    def sample(self, source: Source, row: int) -> SceneSample:
        """Return an image with its masks and boxes: the one whose `index` in a batch is `row`."""
        return self.streets.sample(source, row)


def _painted(streets: Streets, source: Source, count: int, cache: Path) -> tuple[ImageArrays, str]:
    """Return the images of a source and the digest of their pixels."""

    def fill(draft: Path) -> dict[str, object]:
        """Paint every scene."""
        shape = (count, 3, streets.height, streets.width)
        images = np.lib.format.open_memmap(draft / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        labels = np.zeros(count, np.int64)
        for row in range(count):
            sample = streets.sample(source, row)
            images[row], labels[row] = sample.image.transpose(2, 0, 1), sample.label
        images.flush()
        np.save(draft / "labels.npy", labels)
        return {}

    name = f"scenes-{settings_hash(streets)}-{source}-{count}-{_VERSION}"
    folder, _ = stored_arrays(cache / "painted" / name, cache, fill)
    store = ImageArrays(load_array(folder / "images.npy"), load_array(folder / "labels.npy"))
    return store, file_digest(folder / "images.npy", cache)
