"""Whole-batch operations against one-image references, and the rules of their random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as reference

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.base.settings import Settings
from ablata.data.transforms import geometry
from ablata.data.transforms.classification import Augment, ImageAugmenter
from ablata.data.transforms.color_jitter import ColorJitter, draw_factors, jitter
from ablata.data.transforms.mixup_cutmix import Mixup
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.resize_crop import ResizeCrop
from ablata.structures.batch import ImageBatch, Rows

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
PLAIN = Normalizer((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))


class Data(Settings):
    augment: Augment = Augment()


class Recipe(Settings):
    data: Data = Data()


def _images(rows: int = 16, height: int = 12, width: int = 14, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (rows, channels, height, width), dtype=torch.uint8, generator=generator)


def _batch(images: torch.Tensor) -> ImageBatch:
    index = torch.arange(len(images))
    return ImageBatch(images, index % 4, index, Rows(0, len(images)))


def _augmenter(settings: Augment, seed: int = 0, normalizer: Normalizer = PLAIN) -> ImageAugmenter:
    return ImageAugmenter(settings, seed, normalizer, (12, 14))


def test_pad_and_crop_equals_one_image_at_a_time() -> None:
    for flipped in (False, True):
        for mode in ("zero", "reflect", "constant"):
            images, pad = _images(), 3
            generator = torch.Generator().manual_seed(2)
            flips = geometry.draw_flips(generator, len(images)) if flipped else None
            offsets = geometry.draw_offsets(generator, len(images), pad)
            result = geometry.flip_pad_crop(images, flips, offsets, pad, mode, (10, 20, 30))
            names = {"zero": ("constant", 0), "constant": ("constant", (10, 20, 30)), "reflect": ("reflect", 0)}
            for row, image in enumerate(images):
                sample = reference.to_pil_image(image)
                if flips is not None and flips[row]:
                    sample = reference.hflip(sample)
                style, fill = names[mode]
                padded = reference.pad(sample, [pad], fill=fill, padding_mode=style)
                top, left = offsets[row].tolist()
                assert torch.equal(result[row], reference.pil_to_tensor(reference.crop(padded, top, left, 12, 14)))


def test_flip_equals_torchvision() -> None:
    images, flips = _images(), torch.arange(16) % 3 == 0
    result = geometry.horizontal_flip(images, flips)
    assert all(
        torch.equal(row, reference.hflip(image) if flag else image)
        for row, image, flag in zip(result, images, flips, strict=True)
    )


def test_offsets_and_centres_reach_every_place_and_no_other() -> None:
    generator = torch.Generator().manual_seed(0)
    offsets = geometry.draw_offsets(generator, 4000, 2)
    assert offsets.unique(dim=0).tolist() == [[y, x] for y in range(5) for x in range(5)]
    centres = geometry.draw_centers(generator, 4000, 2, 3, 5).reshape(-1, 2)
    assert centres.unique(dim=0).tolist() == [[y, x] for y in range(3) for x in range(5)]


def test_cutout_covers_clipped_squares() -> None:
    for size, count in ((4, 1), (5, 1), (8, 2)):
        images = torch.ones(20, 3, 12, 14)
        centres = geometry.draw_centers(torch.Generator().manual_seed(3), 20, count, 12, 14)
        expected = images.clone()
        for row in range(20):
            for y, x in centres[row].tolist():
                top, left = y - size // 2, x - size // 2
                expected[row, :, max(top, 0) : top + size, max(left, 0) : left + size] = 0
        assert torch.equal(geometry.cutout(images, centres, size, 0.0), expected)


def test_cutout_fills_with_the_mean_or_with_black() -> None:
    images, normalizer = torch.full((8, 3, 12, 14), 200, dtype=torch.uint8), Normalizer(MEAN, STD)
    mean, black = (
        _augmenter(Augment(cutout=6, cutout_fill=fill), normalizer=normalizer)(_batch(images), 0, 0).images
        for fill in ("mean", "zero")
    )
    covered = mean == 0
    assert covered.any()
    assert torch.allclose(normalizer.undo(black)[covered], torch.tensor(0.0), atol=1e-3)
    assert torch.equal(black[~covered], mean[~covered])


@pytest.mark.parametrize("channels", [1, 3])
def test_color_jitter_equals_torchvision(channels: int) -> None:
    color = ColorJitter(brightness=0.4, contrast=0.5, saturation=0.6)
    images = _images(channels=channels).float()
    factors = draw_factors(torch.Generator().manual_seed(4), len(images), color)
    result = jitter(images, factors, color)
    for row, (brightness, contrast, saturation) in enumerate(factors.tolist()):
        expected = reference.adjust_brightness(images[row] / 255, brightness)
        expected = reference.adjust_contrast(expected, contrast)
        if channels == 3:
            expected = reference.adjust_saturation(expected, saturation)
        assert torch.allclose(result[row], expected * 255, atol=0.05)


def test_contrast_can_turn_around_a_constant() -> None:
    color = ColorJitter(contrast=0.5, contrast_pivot="constant", pivot=74)
    images = torch.full((2, 3, 4, 4), 74.0)
    factors = draw_factors(torch.Generator().manual_seed(4), 2, color)
    assert torch.allclose(jitter(images, factors, color), images)
    assert torch.allclose(jitter(images + 10, factors, color)[:, 0, 0, 0], 74 + 10 * factors[:, 1])


def test_factors_fill_their_range() -> None:
    factors = draw_factors(torch.Generator().manual_seed(0), 20000, ColorJitter(brightness=0.4, contrast=1.5))
    assert factors[:, 0].min() >= 0.6
    assert factors[:, 0].max() <= 1.4
    assert factors[:, 0].mean().item() == pytest.approx(1.0, abs=0.01)
    assert factors[:, 1].min() >= 0
    assert factors[:, 1].max() == pytest.approx(2.5, abs=0.01)
    assert torch.all(factors[:, 2] == 1)


def test_normalising_equals_the_definition_and_can_be_undone() -> None:
    for count in (0, 1, 20, 700):
        for given in (torch.contiguous_format, torch.channels_last):
            for channels_last in (False, True):
                images, normalizer = (
                    _images(count).contiguous(memory_format=given),
                    Normalizer(MEAN, STD, channels_last),
                )
                expected = (images.double() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
                    :, None, None
                ]
                result = normalizer(images)
                assert torch.allclose(result.double(), expected, atol=1e-5)
                assert result.is_contiguous(memory_format=normalizer.memory_format)
                assert torch.equal(normalizer(images.float()), result)
                assert torch.equal(normalizer.undo(result).round().to(torch.uint8), images)


def test_no_augmentation_only_normalises() -> None:
    batch = _batch(_images())
    result = _augmenter(Augment())(batch, 7, 1)
    assert torch.equal(result.images, batch.images.float())
    assert result.mixing is None


def test_switching_one_operation_off_leaves_the_numbers_of_the_others() -> None:
    batch = _batch(_images())
    both = _augmenter(Augment(flip=True, cutout=4))(batch, 3, 0).images
    flipped = _augmenter(Augment(flip=True))(batch, 3, 0).images
    covered = both == 0
    assert torch.equal(both[~covered], flipped[~covered])


def test_steps_and_seeds_have_numbers_of_their_own() -> None:
    batch, settings = _batch(_images()), Augment(flip=True, pad=3)
    results = [_augmenter(settings, seed)(batch, step, 0).images for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert not torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert torch.equal(results[0], results[3])


def test_alternating_flips_show_the_other_side_in_the_next_epoch() -> None:
    images = _images()
    augmenter = _augmenter(Augment(flip=True, flip_mode="alternating"))
    epochs = [augmenter(_batch(images), step, epoch).images for epoch, step in enumerate((3, 8, 1))]
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[1], epochs[0].flip(-1))
    mirrored = (epochs[0] != images).any(dim=(1, 2, 3))
    assert 0 < mirrored.sum() < len(images)


def test_alternating_flips_follow_the_sample_wherever_it_comes() -> None:
    batch, order = _batch(_images()), torch.arange(16).flip(0)
    shuffled = ImageBatch(batch.images[order], batch.labels[order], batch.index[order], batch.rows)
    augmenter = _augmenter(Augment(flip=True, flip_mode="alternating"))
    assert torch.equal(augmenter(shuffled, 1, 0).images, augmenter(batch, 0, 0).images[order])


def test_alternating_flips_are_fair_coins_of_their_seed() -> None:
    for seed in (0, 1, 2**63 - 1):
        index = torch.arange(50_000)
        flips = geometry.alternating_flips(seed, index, 0).double()
        # Four standard deviations of a mean, and of a correlation of neighbours, of 50,000 coins.
        assert flips.mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 50_000**0.5)
        assert torch.corrcoef(torch.stack([flips[1:], flips[:-1]]))[0, 1].abs() < 4 / 50_000**0.5
        other = geometry.alternating_flips(seed ^ 0x5555, index, 0).double()
        assert torch.corrcoef(torch.stack([flips, other]))[0, 1].abs() < 4 / 50_000**0.5


def test_the_loaded_batch_is_not_changed() -> None:
    images = _images()
    batch = _batch(images.clone())
    settings = Augment(
        flip=True, pad=3, pad_mode="constant", cutout=4, color_jitter=ColorJitter(brightness=0.5), mix=Mixup()
    )
    _augmenter(settings)(batch, 0, 0)
    assert torch.equal(batch.images, images)


def test_padding_as_large_as_the_image_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.augment\.pad=12 for images of 12x14"):
        _augmenter(Augment(pad=12))


@pytest.mark.parametrize("fill", [(1, 2), 256])
def test_a_padding_color_that_fits_no_channel_is_refused(fill: int | tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"data\.augment\.pad_fill"):
        _augmenter(Augment(pad=1, pad_fill=fill))


def test_the_keys_of_the_tree_work_on_the_command_line() -> None:
    recipe = Recipe(data=Data(augment=Augment(flip=True, pad=4)))
    changed = override(
        recipe,
        [
            "data.augment.flip=false",
            "data.augment.pad=2",
            "data.augment.pad_fill=[1,2,3]",
            "data.augment.cutout=8",
            "data.augment.color_jitter.brightness=0.4",
            "data.augment.mix=mixup",
            "data.augment.mix.alpha=0.3",
            "data.augment.mix.until_epoch=5",
        ],
    )
    expected = Augment(
        pad=2,
        pad_fill=(1, 2, 3),
        cutout=8,
        color_jitter=ColorJitter(brightness=0.4),
        mix=Mixup(alpha=0.3, until_epoch=5),
    )
    assert changed.data.augment == expected
    assert override(changed, ["data.augment.mix=none"]).data.augment.mix is None
    with pytest.raises(SettingsError, match="mixup, cutmix, both"):
        override(recipe, ["data.augment.mix=cutout"])


def test_flips_are_fair() -> None:
    flips = geometry.draw_flips(torch.Generator().manual_seed(0), 40000)
    assert float(np.mean(flips.numpy())) == pytest.approx(0.5, abs=0.01)


def test_crops_of_enlarged_images_equal_one_image_at_a_time() -> None:
    images = _images(height=20, width=24)
    generator = torch.Generator().manual_seed(2)
    flips = geometry.draw_flips(generator, len(images))
    places = geometry.draw_places(generator, len(images), (20, 24), (12, 14))
    result = geometry.flip_crop(images, flips, places, 12, 14)
    for row, image in enumerate(images):
        whole = image.flip(-1) if flips[row] else image
        top, left = places[row].tolist()
        assert torch.equal(result[row], whole[:, top : top + 12, left : left + 14])


def test_places_of_crops_reach_every_pixel_and_none_beyond() -> None:
    places = geometry.draw_places(torch.Generator().manual_seed(0), 4000, (14, 13), (12, 12))
    counts = torch.stack([torch.bincount(places[:, 0], minlength=3), torch.bincount(places[:, 1], minlength=3)])
    assert counts[0].min() > 1200
    assert (places.amax(0).tolist(), counts[1, :2].min() > 1800) == ([2, 1], True)


def test_a_crop_of_an_enlarged_batch_is_drawn_anew_at_each_step() -> None:
    augmenter = _augmenter(Augment(resize=ResizeCrop(side=18)))
    larger = _images(height=18, width=21)
    first, again, other = (augmenter(_batch(larger), step, 0).images for step in (3, 3, 4))
    assert first.shape == (16, 3, 12, 14)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_blackened_channels_are_whole_at_most_so_many_and_the_others_are_left() -> None:
    images = _images(rows=600).clamp_min(1)
    seen = _augmenter(Augment(channel_drop=2))(_batch(images), 0, 0).images
    black = (seen == 0).flatten(2)
    assert torch.equal(black.all(2), black.any(2))
    counts = torch.bincount(black.all(2).sum(1), minlength=3)
    assert len(counts) == 3
    assert counts.min() > 150
    assert torch.equal(seen[~black.all(2)], images.float()[~black.all(2)])


def test_blackening_changes_no_other_number() -> None:
    images = _images().clamp_min(1)
    plain = _augmenter(Augment(flip=True, pad=2))(_batch(images), 5, 0).images
    seen = _augmenter(Augment(flip=True, pad=2, channel_drop=1))(_batch(images), 5, 0).images
    kept = (seen != 0).flatten(2).any(2)
    assert torch.equal(seen[kept], plain[kept])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Augment(resize=ResizeCrop(side=11)), r"at least the shorter side(.|\n)*12x14"),
        (Augment(channel_drop=3), "leave a channel"),
    ],
)
def test_an_augmentation_that_does_not_fit_the_images_is_refused(settings: Augment, words: str) -> None:
    with pytest.raises(DataError, match=words):
        _augmenter(settings)


def test_padding_and_enlarging_are_refused_together() -> None:
    with pytest.raises(SettingsError, match="pad=0 or resize=null"):
        override(Recipe(), ["data.augment.pad=4", "data.augment.resize=true"])
