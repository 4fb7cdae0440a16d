"""Contact sheets show the pixels that a training sees."""

from __future__ import annotations

import numpy as np
import torch

from ablata.data.drawing.contact_sheet import contact_sheet
from ablata.data.transforms.classification import Augment, ImageAugmenter
from ablata.data.transforms.mixup_cutmix import Mixup
from ablata.data.transforms.normalization import Normalizer
from ablata.structures.batch import ImageBatch, Rows

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
NAMES = ("short", "a class with a name that is far too long for its cell", "third")


def _batch(channels: int = 3) -> ImageBatch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, channels, 8, 8), dtype=torch.uint8, generator=generator)
    return ImageBatch(images, torch.arange(5) % 3, torch.arange(5), Rows(0, 5))


def test_normalized_images_are_shown_as_they_were() -> None:
    batch = _batch()
    plain = ImageAugmenter(Augment(), 0, Normalizer(MEAN, STD), (8, 8))(batch, 0, 0)
    shown = contact_sheet(plain, NAMES, MEAN, STD, side=32)
    assert np.array_equal(np.asarray(shown), np.asarray(contact_sheet(batch, NAMES, MEAN, STD, side=32)))
    first = np.asarray(shown)[6 : 6 + 32 : 4, 6 : 6 + 32 : 4]
    assert np.array_equal(first, batch.images[0].permute(1, 2, 0).numpy())


def test_originals_stand_beside_whole_whatever_their_sizes_and_bands() -> None:
    batch = _batch(channels=1)
    mixed = ImageAugmenter(Augment(mix=Mixup()), 0, Normalizer((0.5,), (0.3,)), (8, 8))(batch, 0, 0)
    alone = contact_sheet(mixed, NAMES, (0.5,), (0.3,), side=32)
    stored = [np.full((16, 8 + 4 * row, 1 + row), 90, np.uint8) for row in range(5)]
    both = contact_sheet(mixed, NAMES, (0.5,), (0.3,), originals=stored, side=32)
    assert both.width > alone.width
    assert both.height == alone.height
    assert both.getpixel((6, 6)) == (90, 90, 90)


def test_the_number_of_cells_is_bounded() -> None:
    few, all_of_them = (contact_sheet(_batch(), NAMES, MEAN, STD, columns=2, most=most, side=32) for most in (2, 99))
    assert few.height < all_of_them.height
    assert few.width == all_of_them.width
