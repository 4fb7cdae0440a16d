"""Image folders and parquet files: workers, what is ignored, and every error named by file."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.base.settings import settings_hash
from ablata.data.classification.cifar import Cifar10
from ablata.data.classification.image_files import ImageFileDataset
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.parquet import Parquet
from ablata.data.transforms.classification import Augment

from ..conftest import write_parquet


def _build(root: Path, cache: Path, workers: int = 0, **settings: object) -> ImageFileDataset:
    return ImageFolder(root=str(root), size=16, resize=18, workers=workers, **settings).build(cache)  # type: ignore[arg-type]


def test_results_do_not_depend_on_the_number_of_workers(folder_root: Path, tmp_path: Path) -> None:
    loaders = [_build(folder_root, tmp_path, workers).train_loader(0, 8) for workers in (0, 2)]
    alone, helped = ([batch.images for batch in loader.batches(1, 7)] for loader in loaders)
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images in alone + helped)
    next(loaders[1].batches(0, 7))
    again = [batch.images for batch in loaders[1].batches(3, 7)]
    assert all(torch.equal(a, b) for a, b in zip(alone[2:], again, strict=True))


def test_an_interrupt_is_not_for_the_workers_which_end_with_their_reader(folder_root: Path, tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    loader = _build(folder_root, tmp_path, workers=2).train_loader(0, 8)
    batches = loader.batches(0, 12)
    first = next(batches)
    helpers = set(multiprocessing.active_children()) - before
    assert len(helpers) == 2
    for helper in helpers:
        os.kill(helper.pid or 0, signal.SIGINT)
    assert len([first, *batches]) == 12
    assert all(helper.is_alive() for helper in helpers)
    del loader, batches
    gc.collect()
    assert not any(helper.is_alive() for helper in helpers)


def test_each_epoch_crops_a_sample_anew(folder_root: Path, tmp_path: Path) -> None:
    loader = _build(folder_root, tmp_path).train_loader(0, 33)
    first, second = loader.batches(0, 2)
    order = second.index.argsort()[first.index.argsort().argsort()]
    assert torch.equal(second.index[order], first.index)
    assert (second.images[order] != first.images).flatten(1).any(dim=1).all()


@pytest.mark.parametrize("backend", ["torch", "pil", "opencv"])
@pytest.mark.parametrize("crop", ["random_resized", "random", "center"])
@pytest.mark.parametrize("reduced", [False, True])
def test_every_way_to_crop_gives_whole_images(
    folder_root: Path, tmp_path: Path, backend: str, crop: str, reduced: bool
) -> None:
    data = _build(folder_root, tmp_path, backend=backend, crop=crop, reduced=reduced)
    batch = next(data.train_loader(0, 16).batches(0, 1))
    assert batch.images.shape == (16, 3, 16, 16)
    assert (batch.images.float().flatten(1).std(dim=1) > 1).all()


@pytest.mark.parametrize("backend", ["torch", "pil", "opencv"])
@pytest.mark.parametrize("prepared", [None, 24])
def test_the_decoder_changes_the_name_and_no_image(
    folder_root: Path, tmp_path: Path, backend: str, prepared: int | None
) -> None:
    sets = [
        _build(folder_root, tmp_path, backend=backend, decoder=decoder, prepared=prepared)
        for decoder in ("pil", "opencv")
    ]
    first, *others = (next(data.train_loader(0, 16).batches(0, 1)).images for data in sets)
    assert all(torch.equal(first, other) for other in others)
    assert len({data.backend for data in sets}) == 2


def test_classes_take_their_names_from_the_file_and_junk_is_counted(folder_root: Path, tmp_path: Path) -> None:
    data = _build(folder_root, tmp_path)
    assert data.classes == ("Formica rufa", "Apis", "cat")
    assert data.sizes == {"train": 33, "val": 11}
    assert data.notices == ("1 file is no image and is ignored: train/ant/notes.txt",)


def test_the_fingerprint_follows_a_changed_file_and_not_the_place(folder_root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_root, copy)
    before = _build(folder_root, tmp_path / "cache").fingerprint
    assert _build(copy, tmp_path / "cache").fingerprint == before
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", copy)
    assert _build(Path(archive), tmp_path / "cache").fingerprint == before
    Image.new("RGB", (30, 30), "red").save(copy / "train" / "cat" / "0.jpg")
    assert _build(copy, tmp_path / "cache").fingerprint != before


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_is_damaged_later_is_named_wherever_it_is_read(
    folder_root: Path, tmp_path: Path, workers: int
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_root, copy)
    data = _build(copy, tmp_path / "cache", workers)
    (copy / "train" / "bee" / "3.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"bee/3\.png") as caught:
        list(data.train_loader(0, 33).batches(0, 1))
    assert "Traceback" not in str(caught.value)
    with pytest.raises(DataError, match=r"unreadable: train/bee/3\.png \(no image of a known type\)"):
        _build(copy, tmp_path / "cache")


def test_an_empty_class_and_an_unknown_class_are_named(folder_root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder_root, copy)
    (copy / "train" / "dog").mkdir()
    with pytest.raises(DataError, match="train/dog"):
        _build(copy, tmp_path / "cache")
    (copy / "train" / "dog").rmdir()
    (copy / "val" / "cats").mkdir()
    with pytest.raises(DataError, match=r"cats[^*]*did you mean cat\?"):
        _build(copy, tmp_path / "cache")


def test_a_folder_without_images_says_how_it_must_look(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train/CLASS and val/CLASS"):
        _build(tmp_path, tmp_path / "cache")
    with pytest.raises(DataError, match=r"set data\.root=FOLDER"):
        ImageFolder().build(tmp_path)


def test_settings_that_cannot_work_are_refused() -> None:
    for argument in ("resize=100", "scale=[0.5, 0.1]", "ratio=[2, 1]"):
        with pytest.raises(SettingsError, match="must hold"):
            override(ImageFolder(), [argument])


def test_where_and_how_fast_do_not_count_in_the_hash() -> None:
    assert settings_hash(ImageFolder(root="a", workers=1)) == settings_hash(ImageFolder(root="b", workers=4))
    assert settings_hash(ImageFolder(backend="pil")) != settings_hash(ImageFolder())


def test_parquet_pixels_and_labels_are_those_of_the_files(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (9, 6, 5, 3), dtype=np.uint8)
    for name in ("train", "test"):
        write_parquet(tmp_path / f"{name}.parquet", [Image.fromarray(image) for image in pixels], np.arange(9) % 3)
    data = Parquet(root=str(tmp_path)).build(tmp_path / "cache")
    assert data.classes == ("ant", "bee", "cat")
    for batch in data.train_loader(0, 9).batches(0, 2):
        assert np.array_equal(batch.images.permute(0, 2, 3, 1).numpy(), pixels[batch.index.numpy()])
        assert torch.equal(batch.labels, batch.index % 3)


def test_parquet_images_of_several_sizes_need_a_size(tmp_path: Path) -> None:
    images = [Image.new("RGB", (8 + number, 9), "red") for number in range(6)]
    for name in ("train", "validation"):
        write_parquet(tmp_path / f"{name}.parquet", images, np.arange(6) % 3)
    with pytest.raises(DataError, match=r"train\.parquet, row 1: 9x9[^*]*set data\.size"):
        Parquet(root=str(tmp_path)).build(tmp_path / "cache")
    assert Parquet(root=str(tmp_path), size=7).build(tmp_path / "cache").image_size == (7, 7)


def test_parquet_errors_name_the_file_and_what_is_wrong(tmp_path: Path, parquet_root: Path) -> None:
    images = [Image.new("RGB", (4, 4))] * 3
    for name in ("train", "test"):
        write_parquet(tmp_path / f"{name}.parquet", images, np.array([0, 3, 1]))
    with pytest.raises(DataError, match=r"Labels must be in 0\.\.2[^*]*3 in row 1"):
        Parquet(root=str(tmp_path)).build(tmp_path / "cache")
    with pytest.raises(DataError, match=r"columns img, label[^*]*data\.label_column"):
        Parquet(root=str(parquet_root), label_column="fine").build(tmp_path / "cache")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataError, match=r"train\.parquet"):
        Parquet(root=str(tmp_path)).build(tmp_path / "cache")
    with pytest.raises(DataError, match="10 classes"):
        Cifar10(root=str(parquet_root)).build(tmp_path / "cache")


def test_the_parquet_fingerprint_follows_the_files(tmp_path: Path) -> None:
    fingerprints = []
    for color in ("red", "blue"):
        for name in ("train", "test"):
            write_parquet(tmp_path / f"{name}.parquet", [Image.new("RGB", (4, 4), color)] * 3, np.arange(3))
        fingerprints.append(Parquet(root=str(tmp_path), augment=Augment()).build(tmp_path / "cache").fingerprint)
    assert fingerprints[0] != fingerprints[1]


@pytest.mark.realdata
def test_cifar10_has_its_published_statistics(data_home: Path, shared_cache: Path) -> None:
    data = Cifar10(root=str(data_home / "cifar10"), minival=5000).build(shared_cache)
    assert data.sizes == {"train": 45000, "val": 10000, "minival": 5000}
    assert torch.bincount(data.split_labels("minival")).tolist() == [500] * 10
    total = sum(batch.images.double().mean(dim=(0, 2, 3)) * len(batch) for batch in data.eval_loader("val", 500))
    assert torch.all((torch.as_tensor(total) / 10000).abs() < 0.03)


@pytest.mark.realdata
def test_hymenoptera_has_one_junk_file_and_imagenette_none(data_home: Path, shared_cache: Path) -> None:
    ants = ImageFolder(root=str(data_home / "hymenoptera")).build(shared_cache)
    assert (ants.classes, ants.sizes) == (("ants", "bees"), {"train": 244, "val": 153})
    assert "imageNotFound.gif" in ants.notices[0]
    nette = ImageFolder(root=str(data_home / "imagenette")).build(shared_cache)
    assert (len(nette.classes), nette.classes[0], nette.notices) == (10, "tench", ())
