"""Synthetic re-identification data: images of persons by several cameras, to try re-identification without data files.

A person keeps body, hair, clothes and bag; a camera keeps its place, light, colour cast and the side it shows; every
image has a pose, a light and perhaps something in front. The two domains have other wardrobes, places, daylight and
persons: train on one, go on without labels on the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.seeds import derive
from ablata.base.settings import Settings, settings_hash
from ablata.data.loading.cache import combined, file_digest, load_array, stored_arrays
from ablata.data.loading.dataset import PAINTED, NominalShape
from ablata.data.loading.in_memory import ImageArrays
from ablata.data.loading.splits import SOURCES, Source
from ablata.data.reid.dataset import (
    IdentitySource,
    ReidDataset,
    ReidSettings,
    first_of_each,
    held_out_identities,
)
from ablata.data.synthetic.person_appearance import Domain, draw_appearance
from ablata.data.synthetic.person_paint import Camera, draw_camera, draw_shot, paint_person
from ablata.data.transforms.classification import Augment

_VERSION = 1
_DOMAINS: tuple[Domain, ...] = ("winter", "summer")
_CAMERAS = len(SOURCES)
"""Number of the cameras' random stream, after those of the sources."""


class Crowd(Settings):
    """Content of the images, whatever is done with them."""

    domain: Domain
    """Wardrobe, places and daylight."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    scene_seed: int
    """Seed of persons, cameras and images."""
    cameras: int
    """How many there are."""
    images: int
    """Of each person by each camera."""
    occlusion: float
    """Share of images in which something stands before the person."""
    gap: float
    """Factor on how far cameras differ."""

    def camera(self, number: int) -> Camera:
        """Return a camera; the same in every process."""
        random = np.random.default_rng(self._seed(_CAMERAS, number))
        return draw_camera(random, number, self.cameras, self.domain, self.gap, (self.height, self.width))

    def paint(self, source: Source, identity: int, cameras: list[Camera]) -> np.ndarray:
        """Return uint8 [cameras x images, 3, height, width], all images of a person, camera by camera."""
        stream = SOURCES.index(source)
        look = draw_appearance(np.random.default_rng(self._seed(stream, identity)), self.domain)
        images = []
        for number, camera in enumerate(cameras):
            for shot in range(self.images):
                random = np.random.default_rng(self._seed(stream, identity, number, shot))
                drawn = draw_shot(random, camera, self.domain, self.occlusion)
                images.append(paint_person(look, camera, drawn, (self.height, self.width), random))
        return np.stack(images).transpose(0, 3, 1, 2)

    def _seed(self, *position: int) -> int:
        return derive(self.scene_seed, "data", _DOMAINS.index(self.domain), *position)


class Persons(ReidSettings):
    """Synthetic re-identification data set; persons of val are searched by an image each camera took of them."""

    kind: Literal["persons"] = "persons"
    domain: Domain = "winter"
    """winter: dark clothes that are much alike, blue daylight; summer: bright ones, warm daylight; other persons."""
    train: Annotated[int, Field(ge=2)] = 400
    """Identities to train on."""
    val: Annotated[int, Field(ge=2)] = 300
    """Identities to be found, none of them trained on."""
    cameras: Annotated[int, Field(ge=2)] = 6
    """Cameras; each sees every person."""
    images: Annotated[int, Field(ge=2)] = 3
    """Images of each person by each camera."""
    height: Annotated[int, Field(ge=16)] = 64
    """Pixels."""
    width: Annotated[int, Field(ge=8)] = 32
    """Pixels."""
    occlusion: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Share of images in which something stands before the person."""
    gap: Annotated[float, Field(ge=0)] = 1.0
    """Factor on how far cameras differ in brightness, colour and contrast; 0: not at all."""
    scene_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the whole set, apart from any run's seed."""
    augment: Augment = Augment(flip=True, pad=4)
    """Augmentation of training batches."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        held = len(held_out_identities(self.train, self.minival, self.split_seed))
        return NominalShape(self.train - held, channels=3, height=self.height, width=self.width)

    def build(self, cache: Path) -> ReidDataset:
        """Paint the images the first time (under a second for a thousand of 64x32), and map them.

        Raises:
            DataError: minival is out of range.
        """
        crowd = Crowd(**{name: getattr(self, name) for name in Crowd.model_fields})
        train, train_digest = _painted(crowd, "train", self.train, 0, cache)
        val, val_digest = _painted(crowd, "val", self.val, self.train, cache)
        return ReidDataset(train, val, self, fingerprint=combined([train_digest, val_digest]), backend=PAINTED)


def _painted(crowd: Crowd, source: Source, count: int, before: int, cache: Path) -> tuple[IdentitySource, str]:
    """Return a source of `count` persons, named from number `before` + 1 on, and the digest of their pixels."""
    each = crowd.cameras * crowd.images

    def fill(draft: Path) -> dict[str, object]:
        """Paint the images of every identity."""
        shape = (count * each, 3, crowd.height, crowd.width)
        images = np.lib.format.open_memmap(draft / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        cameras = [crowd.camera(number) for number in range(crowd.cameras)]
        for identity in range(count):
            images[identity * each : (identity + 1) * each] = crowd.paint(source, identity, cameras)
        images.flush()
        return {}

    name = f"persons-{settings_hash(crowd)}-{source}-{count}-{_VERSION}"
    folder, _ = stored_arrays(cache / "painted" / name, cache, fill)
    identities = np.repeat(np.arange(count), each)
    cameras = np.tile(np.repeat(np.arange(crowd.cameras), crowd.images), count)
    names = tuple(f"{before + identity + 1:04d}" for identity in range(count))
    store = ImageArrays(load_array(folder / "images.npy"), identities)
    return IdentitySource(store, cameras, first_of_each(identities, cameras), names), file_digest(
        folder / "images.npy", cache
    )
