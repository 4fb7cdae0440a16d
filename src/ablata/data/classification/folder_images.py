"""A classification set of image files, wherever they lie, once they are listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch

from ablata.base.errors import DataError
from ablata.data.classification.decode_and_crop import FileCut
from ablata.data.classification.decoded_cache import prepare
from ablata.data.classification.file_list import Listing
from ablata.data.classification.image_files import ImageFiles
from ablata.data.io.crop import own_decoder
from ablata.data.io.decode import refuse_missing
from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.data.io.file_slice import Stored
from ablata.data.loading.file_reader import FileReader
from ablata.data.loading.labeled_images import LabeledImages
from ablata.data.loading.loaders import ImageReader
from ablata.data.loading.splits import Source, make_splits
from ablata.data.loading.worker_count import worker_count


def assemble(settings: ImageFiles, listing: Listing, fingerprint: str, cache: Path) -> LabeledFiles:
    """Put a listing together with its images, which are prepared here where the settings ask for it.

    Args:
        settings: how to crop and decode.
        listing: what remains after screening.
        fingerprint: of these images.
        cache: where prepared images are kept.

    Raises:
        DataError: an image that is to be prepared does not decode, or minival is out of range.
        SettingsError: the decoder is not there.
    """
    refuse_missing(settings.decoder or own_decoder(settings.backend))
    images: dict[Source, Sequence[Stored]] = dict(listing.files)
    if settings.prepared is not None:
        cut, name = FileCut(settings), settings.backend_name().replace(" ", "-")
        for source, found in listing.files.items():
            target = cache / "prepared" / f"{fingerprint[:32]}-{source}-{name}"
            images[source] = prepare(found, target, cache, size_of=cut.prepared_size, decode=cut.prepare)
    return LabeledFiles(settings, listing, fingerprint, images)


class LabeledFiles(LabeledImages):
    """A data set of image files.

    Attributes:
        augments_each_image: its reading processes can change images one by one.

    Args:
        settings: how to crop and decode.
        listing: the files and their classes.
        fingerprint: hash of the files' names and contents.
        images: what is read, by source: the listing's files, or the prepared ones.
    """

    augments_each_image: ClassVar[bool] = True

    def __init__(
        self,
        settings: ImageFiles,
        listing: Listing,
        fingerprint: str,
        images: Mapping[Source, Sequence[Stored]],
    ) -> None:
        super().__init__(
            classes=listing.classes,
            image_size=(settings.size, settings.size),
            channels=3,
            fingerprint=fingerprint,
            mean=settings.mean,
            std=settings.std,
            labels=dict(listing.labels),
            splits=make_splits(
                listing.labels["train"], len(listing.labels["val"]), settings.minival, settings.split_seed
            ),
            augment=settings.augment,
            backend=settings.backend_name(),
            notices=listing.notices,
            left_out=tuple(map(str, listing.left_out)),
        )
        self.settings, self.files, self.images = settings, listing.files, images

    def image_reader(
        self, source: Source, *, training: bool, seed: int, device: torch.device, crop: EvalCrop = DEFAULT
    ) -> ImageReader:
        """Return a reader of the source's files in worker processes; without `training` it cuts as `crop` says."""
        workers = worker_count(self.settings.workers)
        return FileReader(
            self.images[source], FileCut(self.settings, crop), seed, workers, pinned=device.type == "cuda"
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
