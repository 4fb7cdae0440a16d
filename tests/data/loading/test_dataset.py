"""What every data set must do, whatever its labels are and whatever it is stored in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ablata.base.errors import DataError
from ablata.data.classification.cifar import Cifar10
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.parquet import Parquet
from ablata.data.loading.dataset import Dataset
from ablata.data.loading.loaders import TrainLoader
from ablata.data.loading.sampling import Balanced
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.synthetic.persons import Persons
from ablata.data.synthetic.scene_boxes import PlantedScenes, SceneBoxes
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.color_jitter import ColorJitter
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.segmentation import Crop, JointAugment, ScaleRange
from ablata.structures.detection import DetectionBatch

AUGMENT = Augment(flip=True, pad=2, color_jitter=ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4), cutout=3)
JOINT = JointAugment(flip=True, scale=ScaleRange(), crop=Crop(height=12, width=16))
BOXES = DetectionAugment(flip=True, min_size=(32, 48), max_size=64)
STREETS = Streets(height=32, width=48)
PERSONS = Persons(train=9, val=5, cameras=2, images=3, height=32, width=16, augment=Augment(flip=True, pad=2))

HELD_OUT = 3
"""Samples (of persons: identities) of minival."""

KINDS: dict[str, Callable[[pytest.FixtureRequest, int], Any]] = {
    "digits": lambda request, minival: Digits(augment=AUGMENT, minival=minival),
    "scenes": lambda request, minival: Scenes(train=60, val=25, streets=STREETS, augment=AUGMENT, minival=minival),
    "cifar10": lambda request, minival: Cifar10(root=path(request, "cifar_root"), augment=AUGMENT, minival=minival),
    "parquet": lambda request, minival: Parquet(root=path(request, "parquet_root"), augment=AUGMENT, minival=minival),
    "image_folder": lambda request, minival: ImageFolder(
        root=path(request, "folder_root"), size=16, resize=18, workers=0, augment=AUGMENT, minival=minival
    ),
    "scene_masks": lambda request, minival: SceneMasks(
        train=30, val=10, streets=STREETS, augment=JOINT, minival=minival
    ),
    "mask_folder": lambda request, minival: MaskFolder(
        root=path(request, "mask_root"), ignored=("void",), augment=JOINT, minival=minival
    ),
    "scene_boxes": lambda request, minival: SceneBoxes(
        train=30, val=10, scenes=PlantedScenes(), augment=BOXES, minival=minival
    ),
    "persons": lambda request, minival: PERSONS.model_copy(update={"minival": minival}),
    "persons_balanced": lambda request, minival: PERSONS.model_copy(
        update={"minival": minival, "sampling": Balanced(images=2)}
    ),
}


def path(request: pytest.FixtureRequest, name: str) -> str:
    return str(request.getfixturevalue(name))


@pytest.fixture(scope="module")
def mask_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return images of two sizes with their masks."""
    root, random = tmp_path_factory.mktemp("masks"), np.random.default_rng(1)
    for split, count in (("train", 25), ("val", 7)):
        for number in range(count):
            raw = random.choice(np.array([0, 5, 9], np.uint8), ((10, 14), (9, 20))[number % 2])
            for kind, pixels in (("images", np.stack([raw, raw, 255 - raw], -1)), ("labels", raw)):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / kind / split / f"{number:02}.png")
    (root / "classes.txt").write_text("0 sky\n5 road\n9 void\n")
    return root


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, shared_cache: Path) -> Callable[..., Dataset[Any]]:
    """Return a function (minival) that builds the data set."""
    return lambda minival=0: KINDS[request.param](request, minival).build(shared_cache)


def augmented(loader: TrainLoader[Any], start: int, stop: int) -> list[Any]:
    batches = enumerate(loader.batches(start, stop), start=start)
    return [loader.augment(batch, step, loader.epoch_of(step)) for step, batch in batches]


def parts(batch: Any) -> list[Tensor]:
    """Return what a batch says of each of its rows, as tensors."""
    if isinstance(batch, DetectionBatch):
        said = [tensor for one in batch.objects for tensor in (one.boxes, one.labels, one.masks) if tensor is not None]
        return [batch.index, batch.originals, *said]
    return [batch.index, batch.labels]


def equal(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a, b)
        for one, other in zip(left, right, strict=True)
        for a, b in zip([one.images, *parts(one)], [other.images, *parts(other)], strict=True)
    )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(make: Callable[..., Dataset[Any]]) -> None:
    data = make()
    first, again, other = (augmented(data.train_loader(seed, 8), 0, 2) for seed in (5, 5, 6))
    assert equal(first, again)
    assert not torch.equal(first[0].index, other[0].index)


def test_starting_in_the_middle_equals_never_having_stopped(make: Callable[..., Dataset[Any]]) -> None:
    loader = make().train_loader(1, 8)
    stop = min(2 * loader.steps_per_epoch, 6)
    assert equal(augmented(loader, 0, stop)[2:], augmented(make().train_loader(1, 8), 2, stop))


def test_epochs_differ_and_shuffled_ones_have_each_sample_at_most_once(make: Callable[..., Dataset[Any]]) -> None:
    data = make()
    loader = data.train_loader(1, 8)
    steps = min(loader.steps_per_epoch, 4)
    first, second = (
        torch.cat([batch.index for batch in loader.batches(start, start + steps)])
        for start in (0, loader.steps_per_epoch)
    )
    assert set(first.tolist()) <= set(data.split_indices()["train"])
    assert not torch.equal(first, second)
    if data.order(8) is make().order(8):  # one function for all data: shuffled
        assert len(first.unique()) == len(first)


def test_ranks_share_the_global_batch_without_changing_a_bit(make: Callable[..., Dataset[Any]]) -> None:
    data = make()
    for world_size in (2, 3):
        for step in range(2):
            loaders = [
                data.train_loader(2, 12),
                *(data.train_loader(2, 12, rank, world_size) for rank in range(world_size)),
            ]
            raw = [next(loader.batches(step, step + 1)) for loader in loaders]
            whole, *shares = (loader.augment(batch, step, 0) for loader, batch in zip(loaders, raw, strict=True))
            assert [share.rows.first for share in shares] == [rank * 12 // world_size for rank in range(world_size)]
            assert torch.equal(torch.cat([share.index for share in shares]), whole.index)
            # Images of several sizes are filled up to the largest of a batch, so shares may have other sizes.
            if len({batch.images.shape[-2:] for batch in raw}) == 1:
                assert torch.equal(torch.cat([share.images for share in shares]), whole.images)


def test_evaluation_counts_every_sample_once(make: Callable[..., Dataset[Any]]) -> None:
    data = make(HELD_OUT)
    for world_size in (1, 2, 3):
        for split in data.splits:
            loaders = [data.eval_loader(split, 4, rank, world_size) for rank in range(world_size)]
            batches = [batch for loader in loaders for batch in loader]
            assert sum(map(len, loaders)) == len(batches)
            assert sorted(index for batch in batches for index in batch.index.tolist()) == data.split_indices()[split]


def test_batches_are_bytes_as_read_and_normalized_floats_afterwards(make: Callable[..., Dataset[Any]]) -> None:
    data = make()
    loader = data.train_loader(0, 8)
    raw = next(loader.batches(0, 1))
    batch = loader.augment(raw, 0, 0)
    assert (raw.images.dtype, batch.images.dtype) == (torch.uint8, torch.float32)
    assert len(raw) == len(batch) == 8
    assert raw.images.shape[:2] == batch.images.shape[:2] == (8, data.channels)
    scored = next(iter(data.eval_loader("val", 4)))
    shape = (-1, 1, 1)
    mean, std = (torch.tensor(values, dtype=torch.float64).view(shape) for values in (data.mean, data.std))
    height, width = scored.sizes[0].tolist() if hasattr(scored, "sizes") else scored.images.shape[-2:]
    pixels = (scored.images[0, :, :height, :width].double() * std + mean) * 255
    assert torch.allclose(pixels, pixels.round(), atol=1e-3)
    assert data.prepare(scored) is scored


def test_minival_is_taken_from_the_training_set_the_same_for_every_build(make: Callable[..., Dataset[Any]]) -> None:
    data, whole = make(HELD_OUT), make()
    train, minival = data.split_indices()["train"], data.split_indices()["minival"]
    assert sorted(train + minival) == whole.split_indices()["train"]
    assert data.splits_hash == make(HELD_OUT).splits_hash != whole.splits_hash
    assert data.fingerprint == whole.fingerprint
    assert len(data.fingerprint) == 64
    int(data.fingerprint, 16)


def test_batch_sizes_and_splits_that_cannot_be_are_refused(make: Callable[..., Dataset[Any]]) -> None:
    data = make()
    with pytest.raises(DataError, match="multiple of the number of processes"):
        data.train_loader(0, 8, world_size=3)
    too_many = data.sizes["train"] // 2 * 2 + 2
    with pytest.raises(DataError, match=f"{data.sizes['train']} training samples|more identities than there are"):
        data.train_loader(0, too_many)
    with pytest.raises(DataError, match=r"train, val[^*]*data.minival"):
        data.eval_loader("minival", 4)
