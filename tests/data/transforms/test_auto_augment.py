"""Operations against PIL and torchvision, in all three forms; RandAugment, AutoAugment, and their random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision.transforms.v2 import functional as reference

from ablata.base.errors import DataError
from ablata.data.classification.digits import Digits
from ablata.data.transforms.auto_augment import IMAGENET_PAIRS, AutoAugment, RandAugment
from ablata.data.transforms.auto_augment_batch_ops import apply_to_rows
from ablata.data.transforms.auto_augment_image_ops import apply_by_opencv, apply_by_pil
from ablata.data.transforms.auto_augment_ops import INCREASING, NAMES, ORIGINAL, Name, inverse_affine
from ablata.data.transforms.classification import Augment, ImageAugmenter
from ablata.data.transforms.normalization import Normalizer
from ablata.structures.batch import ImageBatch, Rows

PLAIN = Normalizer((0, 0, 0), (1 / 255, 1 / 255, 1 / 255))
MOVING = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
PLACE = (0.3, 0.9)


def image_array(seed: int = 0, height: int = 40, width: int = 52) -> np.ndarray:
    """Return a smooth coloured image with grain: uint8 [H, W, 3]."""
    random = np.random.default_rng(seed)
    smooth = Image.fromarray(random.integers(0, 200, (5, 6, 3), dtype=np.uint8)).resize((width, height))
    return np.asarray(smooth) + random.integers(0, 40, (height, width, 3), dtype=np.uint8)


def by_pil(pixels: np.ndarray, name: Name, argument: float) -> np.ndarray:
    return np.asarray(apply_by_pil(Image.fromarray(pixels), name, argument, PLACE, 128)).astype(int)


def by_batch(pixels: np.ndarray, name: Name, argument: float) -> np.ndarray:
    rows = torch.from_numpy(np.stack([image_array(9), pixels])).permute(0, 3, 1, 2)
    changed = apply_to_rows(rows, name, np.array([0.5, argument]), np.array([PLACE, PLACE]), 128)
    assert changed.dtype == torch.uint8
    return changed[1].permute(1, 2, 0).numpy().astype(int)


def arguments(name: Name) -> list[float]:
    tables = (INCREASING, ORIGINAL)
    return [
        table[name].argument(level, sign) for table in tables for level in (0, 3.3, 9, 10) for sign in (False, True)
    ]


def test_batches_are_changed_as_pil_changes_images() -> None:
    for name in NAMES:
        for argument in arguments(name):
            apart = np.abs(by_batch(image_array(), name, argument) - by_pil(image_array(), name, argument))
            assert apart.max() <= (1 if name in MOVING else 0), argument


def test_opencv_is_off_pil_by_rounding_and_by_more_only_where_the_fill_begins() -> None:
    for name in NAMES:
        for argument in arguments(name):
            apart = np.abs(
                apply_by_opencv(image_array(), name, argument, PLACE, 128).astype(int)
                - by_pil(image_array(), name, argument)
            )
            if name not in MOVING:
                rounding = {"color": 2, "sharpness": 2, "contrast": 1, "brightness": 1}
                assert apart.max() <= rounding.get(name, 0), argument
                continue
            seen = by_pil(np.full_like(image_array(), 255), name, argument)[..., 0] == 255
            around = [np.roll(seen, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
            within = np.pad(np.all(around, axis=0)[1:-1, 1:-1], 1)
            outside = ~np.any(around, axis=0)
            assert apart[within].max() <= 4, argument
            assert not apart[outside].any(), argument


def test_batches_are_changed_as_torchvision_changes_tensors() -> None:
    for name, argument, expected in (
        ("auto_contrast", 0, lambda image: reference.autocontrast(image)),
        ("equalize", 0, lambda image: reference.equalize(image)),
        ("invert", 0, lambda image: reference.invert(image)),
        ("posterize", 3, lambda image: reference.posterize(image, 3)),
        ("solarize", 100, lambda image: reference.solarize(image, 100)),
        ("color", 1.6, lambda image: reference.adjust_saturation(image, 1.6)),
        ("contrast", 0.4, lambda image: reference.adjust_contrast(image, 0.4)),
        ("brightness", 1.4, lambda image: reference.adjust_brightness(image, 1.4)),
        ("sharpness", 1.8, lambda image: reference.adjust_sharpness(image, 1.8)),
        ("rotate", 0, lambda image: image),
        ("translate_x", 0.25, lambda image: reference.affine(image, 0, [-13, 0], 1, [0, 0], fill=[128, 128, 128])),
        ("translate_y", -0.25, lambda image: reference.affine(image, 0, [0, 10], 1, [0, 0], fill=[128, 128, 128])),
    ):
        image = torch.from_numpy(image_array().copy()).permute(2, 0, 1)
        assert callable(expected)
        wanted = expected(image).permute(1, 2, 0).numpy().astype(int)
        assert np.abs(by_batch(image_array(), name, argument) - wanted).max() <= 1


def test_a_rotation_is_pils() -> None:
    smooth = np.asarray(Image.fromarray(image_array()).resize((52, 40)))
    turned = Image.fromarray(smooth).rotate(17, resample=Image.Resampling.BILINEAR, fillcolor=(128, 128, 128))
    assert np.abs(by_pil(smooth, "rotate", 17) - np.asarray(turned).astype(int)).max() <= 1
    with pytest.raises(ValueError, match="moves pixels"):
        inverse_affine("invert", 1, 4, 4)


def test_the_table_has_the_published_ends() -> None:
    ends = {
        "rotate": (0, 30, -30),
        "posterize": (4, 0, 0),
        "solarize": (256, 0, 0),
        "solarize_add": (0, 110, 110),
        "color": (1, 1.9, 0.1),
        "shear_x": (0, 0.3, -0.3),
        "translate_y": (0, 0.45, -0.45),
    }
    for name, expected in ends.items():
        found = [INCREASING[name].argument(level, sign) for level, sign in ((0, False), (10, False), (10, True))]
        assert found == pytest.approx(expected)
    assert [ORIGINAL["posterize"].argument(level, False) for level in (0, 7, 10)] == [4, 6, 8]
    assert ORIGINAL["sharpness"].argument(5, True) == pytest.approx(1.0)


def test_the_table_agrees_with_timms() -> None:
    from timm.data import auto_augment as timm_policy

    theirs = {"posterize": "PosterizeIncreasing", "solarize": "SolarizeIncreasing", "solarize_add": "SolarizeAdd"}
    for name, key in theirs.items():
        for level in np.linspace(0, 10, 41):
            (wanted,) = timm_policy.LEVEL_TO_ARG[key](level, {})
            assert INCREASING[name].argument(level, False) == wanted
    own = {"posterize": "PosterizeOriginal", "solarize": "Solarize", "color": "Color"}
    for name, key in own.items():
        for level in np.linspace(0, 9.9, 34):
            assert ORIGINAL[name].argument(level, False) == pytest.approx(timm_policy.LEVEL_TO_ARG[key](level, {})[0])


def test_auto_augment_has_the_pairs_of_timm() -> None:
    from timm.data import auto_augment as timm_policy

    def plain(name: str) -> str:
        return name.lower().replace("_", "").replace("original", "").replace("color", "color")

    theirs = [
        [(plain(op.name), op.prob, op.magnitude) for op in two] for two in timm_policy.auto_augment_policy_original({})
    ]
    assert [[(plain(name), p, m) for name, p, m in two] for two in IMAGENET_PAIRS] == theirs


def test_operations_are_drawn_as_often_as_asked_for() -> None:
    drawn = RandAugment(count=3, probability=0.1).draw(np.random.default_rng(0), 20_000)
    assert drawn.operation.shape == (20_000, 3)
    assert (drawn.operation >= 0).mean() == pytest.approx(0.1, abs=0.005)
    used = np.bincount(drawn.operation[drawn.operation >= 0], minlength=len(NAMES))
    assert used[NAMES.index("cutout")] == 0
    assert used[:-1].min() > 0.8 * used[:-1].mean()
    with_cutout = RandAugment(cutout=True, probability=1).draw(np.random.default_rng(0), 2_000)
    assert (with_cutout.operation == NAMES.index("cutout")).mean() == pytest.approx(1 / len(NAMES), abs=0.02)


def test_magnitudes_spread_as_asked_for() -> None:
    for deviation, mean, spread in ((0, 6, 0), (0.5, 6, 0.5), ("uniform", 3, 6 / 12**0.5)):
        policy = RandAugment(magnitude=6, magnitude_std=deviation, probability=1)
        drawn = policy.draw(np.random.default_rng(0), 20_000)
        degrees = np.abs(drawn.argument[drawn.operation == NAMES.index("rotate")])
        assert degrees.mean() / 3 == pytest.approx(mean, abs=0.1)
        assert degrees.std() / 3 == pytest.approx(spread, abs=0.1)


def batch(rows: int = 12) -> ImageBatch:
    images = torch.from_numpy(np.stack([image_array(seed) for seed in range(rows)])).permute(0, 3, 1, 2).contiguous()
    index = torch.arange(rows)
    return ImageBatch(images, index % 3, index, Rows(0, rows))


def augmenter(**fields: object) -> ImageAugmenter:
    return ImageAugmenter(Augment.model_validate(fields), 3, PLAIN, (40, 52))


@pytest.mark.parametrize("policy", [RandAugment(probability=1), AutoAugment()], ids=lambda policy: policy.kind)
def test_a_step_gives_the_same_change_on_any_share_of_the_rows_and_leaves_the_batch(policy: RandAugment) -> None:
    whole, kept = batch(), batch()
    seen = augmenter(policy=policy)(whole, 5, 0).images
    assert torch.equal(whole.images, kept.images)
    halves = [augmenter(policy=policy)(whole.narrow(start, start + 6), 5, 0).images for start in (0, 6)]
    assert torch.equal(seen, torch.cat(halves))
    assert not torch.equal(seen, augmenter(policy=policy)(whole, 6, 0).images)
    assert not torch.equal(seen, whole.images.float())


def test_the_change_ends_with_its_last_epoch() -> None:
    change = augmenter(policy=RandAugment(probability=1, until_epoch=2))
    assert not torch.equal(change(batch(), 5, 1).images, batch().images.float())
    assert torch.equal(change(batch(), 5, 2).images, batch().images.float())


@pytest.mark.parametrize("where", ["pil", "opencv"])
def test_one_image_is_changed_by_the_same_operations_wherever_it_is(where: str) -> None:
    policy = RandAugment(probability=1, where=where)
    for seed in range(8):
        drawn = policy.draw(np.random.default_rng(seed), 1)
        expected = image_array(seed)
        for number, argument, place in zip(drawn.operation[0], drawn.argument[0], drawn.place[0], strict=True):
            if where == "pil":
                step = apply_by_pil(Image.fromarray(expected), NAMES[number], argument, tuple(place), 128)
                expected = np.asarray(step)
            else:
                expected = apply_by_opencv(expected, NAMES[number], argument, tuple(place), 128)
        assert np.array_equal(policy.change_image(image_array(seed), np.random.default_rng(seed)), expected)
    assert torch.equal(augmenter(policy=policy)(batch(), 0, 0).images, batch().images.float())


def test_reading_processes_are_given_no_last_epoch() -> None:
    with pytest.raises(ValidationError, match="where=batch"):
        RandAugment(where="pil", until_epoch=3)


def test_sets_in_memory_have_no_reading_processes(tmp_path: object) -> None:
    with pytest.raises(DataError, match=r"data\.augment\.policy\.where=pil"):
        Digits(augment=Augment(policy=RandAugment(where="pil"))).build(tmp_path)


def test_one_channel_is_changed_too() -> None:
    grey = torch.randint(0, 256, (4, 1, 9, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for name in NAMES:
        changed = apply_to_rows(grey, name, np.full(4, 0.3), np.full((4, 2), 0.5), 128)
        assert changed.shape == grey.shape
