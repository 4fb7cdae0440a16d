"""Data sets of images with one label each: shapes, stratified minival, mixing across processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ablata.data.classification.cifar import Cifar10
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.parquet import Parquet
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import TrainLoader
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.color_jitter import ColorJitter
from ablata.data.transforms.mixup_cutmix import MixupOrCutmix
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


def test_ranks_mix_across_the_global_batch_without_changing_a_bit(make: Make) -> None:
    data = make(AUGMENT.model_copy(update={"mix": MixupOrCutmix()}), 0)
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


def test_labels_of_batches_belong_to_their_samples(make: Make) -> None:
    data = make(Augment(), 0)
    labels = np.full(max(data.split_indices()["train"]) + 1, -1)
    labels[data.split_indices()["train"]] = data.split_labels("train").numpy()
    for batch in data.train_loader(3, 8).batches(0, 2):
        assert batch.labels.tolist() == labels[batch.index.numpy()].tolist()
