"""What every data set must do, whatever it is stored in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ablata.base.errors import DataError
from ablata.data.any import Cifar10, Digits, ImageFolder, Parquet, Scenes
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import TrainLoader
from ablata.data.synthetic.scenes import Streets
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.color_jitter import ColorJitter
from ablata.data.transforms.mixup_cutmix import Mix, MixupOrCutmix
from ablata.structures.batch import ImageBatch

AUGMENT = Augment(flip=True, pad=2, color_jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4), cutout=3)
Make = Callable[[Augment, float], LabeledImageDataset]


@pytest.fixture(
    params=[
        "digits",
        "parquet",
        "cifar10_binary",
        "image_folder",
        "scenes",
        pytest.param("cifar10", marks=pytest.mark.realdata),
        pytest.param("imagenette", marks=pytest.mark.realdata),
        pytest.param("hymenoptera", marks=pytest.mark.realdata),
    ]
)
def make(request: pytest.FixtureRequest, shared_cache: Path) -> Make:
    """Return a function (augment, minival) that builds the data set."""
    kind = request.param

    def build(augment: Augment, minival: float) -> LabeledImageDataset:
        common = {"augment": augment, "minival": minival}
        if kind == "digits":
            return Digits(**common).build(shared_cache)
        if kind == "scenes":
            return Scenes(train=60, val=25, streets=Streets(height=32, width=48), **common).build(shared_cache)
        if kind == "cifar10_binary":
            return Cifar10(root=str(request.getfixturevalue("cifar_root")), **common).build(shared_cache)
        if kind in ("parquet", "image_folder"):
            root = str(request.getfixturevalue(f"{kind.removeprefix('image_')}_root"))
            if kind == "parquet":
                return Parquet(root=root, **common).build(shared_cache)
            return ImageFolder(root=root, size=16, resize=18, workers=0, **common).build(shared_cache)
        root = str(request.getfixturevalue("data_home") / kind)
        if kind == "cifar10":
            return Cifar10(root=root, **common).build(shared_cache)
        return ImageFolder(root=root, size=32, resize=36, workers=0, **common).build(shared_cache)

    return build


def _augmented(loader: TrainLoader[ImageBatch], start: int, stop: int) -> list[ImageBatch]:
    batches = enumerate(loader.batches(start, stop), start=start)
    return [loader.augment(batch, step, loader.epoch_of(step)) for step, batch in batches]


def _equal(left: list[ImageBatch], right: list[ImageBatch]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a.images, b.images) and torch.equal(a.index, b.index) for a, b in zip(left, right, strict=True)
    )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(make: Make) -> None:
    data = make(AUGMENT, 0)
    first, again, other = (_augmented(data.train_loader(seed, 8), 0, 2) for seed in (5, 5, 6))
    assert _equal(first, again)
    assert not _equal(first, other)


def test_starting_in_the_middle_equals_never_having_stopped(make: Make) -> None:
    data = make(AUGMENT, 0)
    batch_size = max(data.sizes["train"] // 3, 1)
    if batch_size > 64:
        batch_size = 32
    loader = data.train_loader(1, batch_size)
    stop = min(2 * loader.steps_per_epoch, 6)
    assert _equal(_augmented(loader, 0, stop)[2:], _augmented(data.train_loader(1, batch_size), 2, stop))


def test_an_epoch_has_each_sample_at_most_once_and_epochs_differ(make: Make) -> None:
    data = make(Augment(), 0)
    loader = data.train_loader(1, min(16, data.sizes["train"]))
    steps = min(loader.steps_per_epoch, 6)
    first = torch.cat([batch.index for batch in loader.batches(0, steps)])
    second = torch.cat(
        [batch.index for batch in loader.batches(loader.steps_per_epoch, loader.steps_per_epoch + steps)]
    )
    assert len(first.unique()) == len(first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("mix", [None, MixupOrCutmix()], ids=["plain", "mixed"])
def test_ranks_share_the_global_batch_without_changing_a_bit(make: Make, mix: Mix | None) -> None:
    data = make(AUGMENT.model_copy(update={"mix": mix}), 0)
    whole = _augmented(data.train_loader(2, 12), 0, 2)
    for world_size in (2, 3):
        parts = [_augmented(data.train_loader(2, 12, rank, world_size), 0, 2) for rank in range(world_size)]
        for step, batch in enumerate(whole):
            shares = [part[step] for part in parts]
            assert [share.rows.first for share in shares] == [rank * 12 // world_size for rank in range(world_size)]
            assert torch.equal(torch.cat([share.images for share in shares]), batch.images)
            assert torch.equal(torch.cat([share.labels for share in shares]), batch.labels)
            if batch.mixing is not None:
                weights = torch.cat([share.mixing.lam for share in shares if share.mixing])
                assert torch.equal(weights, batch.mixing.lam)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_counts_every_sample_once(make: Make, world_size: int) -> None:
    data = make(Augment(), 0.2)
    for split in ("val", "minival"):
        loaders = [data.eval_loader(split, 7, rank, world_size) for rank in range(world_size)]
        batches = [batch for loader in loaders for batch in loader]
        seen = torch.cat([batch.index for batch in batches])
        assert sorted(seen.tolist()) == data.split_indices()[split]
        assert sum(map(len, loaders)) == len(batches)
        labels = dict(zip(data.split_indices()[split], data.split_labels(split).tolist(), strict=True))
        assert [labels[row] for row in seen.tolist()] == torch.cat([batch.labels for batch in batches]).tolist()


def test_minival_is_disjoint_from_train_stratified_and_the_same_for_every_build(make: Make) -> None:
    data, whole = make(Augment(), 0.2), make(Augment(), 0)
    train, minival = data.split_indices()["train"], data.split_indices()["minival"]
    assert sorted(train + minival) == whole.split_indices()["train"]
    assert len(minival) == round(0.2 * whole.sizes["train"])
    counts = torch.bincount(whole.split_labels("train"), minlength=len(data.classes))
    held = torch.bincount(data.split_labels("minival"), minlength=len(data.classes))
    assert torch.all((held - 0.2 * counts).abs() < 1)
    assert data.splits_hash == make(Augment(), 0.2).splits_hash != whole.splits_hash


def test_batches_have_the_stated_shapes_types_and_ranges(make: Make) -> None:
    data = make(AUGMENT, 0)
    loader = data.train_loader(0, 8, channels_last=data.channels == 3)
    raw = next(loader.batches(0, 1))
    batch = loader.augment(raw, 0, 0)
    shape = (8, data.channels, *data.image_size)
    assert (raw.images.shape, raw.images.dtype) == (shape, torch.uint8)
    assert (batch.images.shape, batch.images.dtype) == (shape, torch.float32)
    if data.channels == 3:
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert (batch.labels.dtype, batch.index.dtype) == (torch.int64, torch.int64)
    for split in data.sizes:
        labels = data.split_labels(split)
        assert int(labels.min()) >= 0
        assert int(labels.max()) < len(data.classes)


def test_evaluation_images_are_normalized_once(make: Make) -> None:
    data = make(Augment(), 0)
    batch = next(iter(data.eval_loader("val", 4)))
    pixels = (batch.images.double() * torch.tensor(data.std, dtype=torch.float64)[:, None, None]) + torch.tensor(
        data.mean, dtype=torch.float64
    )[:, None, None]
    assert torch.allclose(pixels * 255, (pixels * 255).round(), atol=1e-3)
    assert data.prepare(batch) is batch


def test_a_batch_that_does_not_divide_among_processes_is_refused(make: Make) -> None:
    with pytest.raises(DataError, match="multiple of the number of processes"):
        make(Augment(), 0).train_loader(0, 9, world_size=2)


def test_a_training_set_smaller_than_a_batch_is_refused(make: Make) -> None:
    data = make(Augment(), 0)
    with pytest.raises(DataError, match=f"{data.sizes['train']} training samples"):
        data.train_loader(0, data.sizes["train"] + 1)


def test_an_unknown_split_is_refused_with_the_known_ones(make: Make) -> None:
    with pytest.raises(DataError, match=r"train, val[^*]*data.minival"):
        make(Augment(), 0).eval_loader("minival", 4)


def test_building_again_gives_the_same_fingerprint(make: Make) -> None:
    first, again = make(Augment(), 0), make(AUGMENT, 0.2)
    assert first.fingerprint == again.fingerprint
    assert len(first.fingerprint) == 64
    int(first.fingerprint, 16)


def test_labels_of_batches_belong_to_their_samples(make: Make) -> None:
    data = make(Augment(), 0)
    labels = np.full(max(data.split_indices()["train"]) + 1, -1)
    labels[data.split_indices()["train"]] = data.split_labels("train").numpy()
    for batch in data.train_loader(3, 8).batches(0, 2):
        assert batch.labels.tolist() == labels[batch.index.numpy()].tolist()
