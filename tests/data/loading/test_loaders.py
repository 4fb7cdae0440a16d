"""Batches with repeats of images and with partners from another batch; the shapes of random crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ablata.base.errors import DataError
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.io.crop import draw_random_resized_crop
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.transforms.auto_augment import RandAugment
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.mixup_cutmix import Cutmix, Mixup, MixupOrCutmix


def digits(tmp_path: Path, **fields: object) -> LabeledImageDataset:
    return Digits(augment=Augment.model_validate(fields)).build(tmp_path)


def test_repeats_come_side_by_side_and_are_augmented_anew(tmp_path: Path) -> None:
    loader = digits(tmp_path, repeats=3, pad=2).train_loader(0, 30)
    batches = list(loader.batches(0, 4))
    for batch in batches:
        assert torch.equal(batch.index.view(10, 3), batch.index.view(10, 3)[:, :1].expand(10, 3))
        assert len(batch.index.unique()) == 10
    assert len(torch.cat([batch.index for batch in batches]).unique()) == 40
    seen = loader.augment(batches[0], 0, 0).images.view(10, 3, -1)
    assert not torch.equal(seen[:, 0], seen[:, 1])
    picks = next(iter(loader.indices(0, 1)))
    assert picks.copy is not None
    assert picks.copy.tolist() == [0, 1, 2] * 10


def test_repeats_divide_the_batch(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"multiple of data\.augment\.repeats"):
        digits(tmp_path, repeats=3).train_loader(0, 32)


@pytest.mark.parametrize("mix", [Mixup(pairing="other", alpha=1), Cutmix(pairing="other")], ids=lambda mix: mix.kind)
def test_partners_come_from_another_batch_and_processes_agree(tmp_path: Path, mix: Mixup | Cutmix) -> None:
    data = digits(tmp_path, mix=mix)
    loader = data.train_loader(0, 16)
    raw = next(loader.batches(3, 4))
    assert len(raw) == 32
    seen = loader.augment(raw, 3, 0)
    assert (len(seen), seen.rows.keep) == (16, None)
    assert seen.mixing is not None
    assert torch.equal(seen.index, raw.index[:16])
    assert torch.equal(seen.mixing.partner_index, raw.index[16:])
    plain = next(digits(tmp_path).train_loader(0, 16).batches(3, 4))
    assert torch.equal(plain.index, seen.index)
    if isinstance(mix, Mixup):
        float_images = data.prepare(raw).images
        weight = seen.mixing.lam[:, None, None, None]
        expected = weight * float_images[:16] + (1 - weight) * float_images[16:]
        torch.testing.assert_close(seen.images, expected)
    shares = [data.train_loader(0, 16, rank=rank, world_size=2) for rank in (0, 1)]
    parts = [share.augment(next(share.batches(3, 4)), 3, 0).images for share in shares]
    assert torch.equal(torch.cat(parts), seen.images)


def test_an_unmixed_batch_drops_the_other_one(tmp_path: Path) -> None:
    loader = digits(tmp_path, mix=Mixup(pairing="other", probability=0)).train_loader(0, 16)
    seen = loader.augment(next(loader.batches(0, 1)), 0, 0)
    assert (len(seen), seen.mixing) == (16, None)


def test_both_forms_take_their_partners_from_the_same_place() -> None:
    with pytest.raises(ValidationError, match="both be other, or neither"):
        MixupOrCutmix(mixup=Mixup(pairing="other"))


def shapes(aspect: str) -> np.ndarray:
    random = np.random.default_rng(0)
    boxes = [draw_random_resized_crop(random, (4000, 4000), (0.1, 0.5), (0.75, 4 / 3), aspect) for _ in range(4000)]
    return np.array([(right - left) / (bottom - top) for left, top, right, bottom in boxes])


def test_the_shape_of_a_crop_is_uniform_in_the_logarithm_or_uniform_and_turned_over() -> None:
    logarithms = np.log(shapes("log_uniform"))
    assert logarithms.mean() == pytest.approx(0, abs=0.01)
    assert logarithms.std() == pytest.approx(2 * np.log(4 / 3) / 12**0.5, rel=0.05)
    found, uniform = shapes("uniform_swapped"), np.random.default_rng(1).uniform(0.75, 4 / 3, 40_000)
    both = np.concatenate([uniform, 1 / uniform])
    levels = np.linspace(0.05, 0.95, 10)
    assert np.quantile(found, levels) == pytest.approx(np.quantile(both, levels), abs=0.02)
    assert (found.min() >= 0.749, found.max() <= 4 / 3 + 0.001) == (True, True)


def folder(root: Path, cache: Path, workers: int, augment: Augment) -> LabeledImageDataset:
    return ImageFolder(root=str(root), size=16, resize=18, workers=workers, augment=augment).build(cache)


def test_images_changed_where_they_are_read_depend_on_seed_and_step_alone(folder_root: Path, tmp_path: Path) -> None:
    augment = Augment(policy=RandAugment(where="opencv", probability=1), repeats=2)
    loaders = [folder(folder_root, tmp_path, workers, augment).train_loader(0, 8) for workers in (0, 2)]
    alone, helped = ([batch.images for batch in loader.batches(1, 4)] for loader in loaders)
    assert all(torch.equal(one, other) for one, other in zip(alone, helped, strict=True))
    again = next(loaders[0].batches(3, 4)).images
    assert torch.equal(again, alone[2])
    assert (alone[0][::2] != alone[0][1::2]).flatten(1).any(1).all()


def test_changing_images_moves_no_crop(folder_root: Path, tmp_path: Path) -> None:
    still = Augment(policy=RandAugment(where="pil", probability=0))
    crops = [
        next(folder(folder_root, tmp_path, 0, augment).train_loader(0, 8).batches(2, 3)).images
        for augment in (Augment(), still)
    ]
    assert torch.equal(*crops)
