"""Prepared images: evaluation sees the same pixels, training crops from them, and damage is made good."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.data.classification.decoded_cache import DecodedCache
from ablata.data.classification.image_files import ImageFileDataset
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.io.eval_crop import EvalCrop


def _build(
    root: Path, cache: Path, prepared: int | None = 18, workers: int = 0, **settings: object
) -> ImageFileDataset:
    fields = {"root": str(root), "size": 16, "resize": 18, "workers": workers, "prepared": prepared} | settings
    return ImageFolder.model_validate(fields).build(cache)


@pytest.mark.parametrize("backend", ["torch", "pil", "opencv"])
def test_evaluation_of_images_prepared_at_its_own_side_sees_the_same_pixels(
    folder_root: Path, tmp_path: Path, backend: str
) -> None:
    stored, plain = (_build(folder_root, tmp_path, side, backend=backend) for side in (18, None))
    for split in ("train", "val"):
        for left, right in zip(stored.eval_loader(split, 8), plain.eval_loader(split, 8), strict=True):
            assert torch.equal(left.images, right.images)
            assert torch.equal(left.labels, right.labels)
    assert stored.backend == f"{plain.backend} prepared 18"
    assert stored.fingerprint == plain.fingerprint


@pytest.mark.parametrize("crop", ["random_resized", "random", "center"])
def test_training_crops_from_the_prepared_side_whatever_the_workers(
    folder_root: Path, tmp_path: Path, crop: str
) -> None:
    alone, helped = (_build(folder_root, tmp_path, 20, workers, crop=crop).train_loader(0, 8) for workers in (0, 1))
    for left, right in zip(alone.batches(1, 4), helped.batches(1, 4), strict=True):
        assert left.images.shape == (8, 3, 16, 16)
        assert torch.equal(left.images, right.images)


def test_images_keep_their_shape_and_small_ones_their_size(folder_root: Path, tmp_path: Path) -> None:
    data, whole = _build(folder_root, tmp_path, 30), _build(folder_root, tmp_path, 1000)
    for small, large in zip(data.images["train"], whole.images["train"], strict=True):
        assert isinstance(small, np.ndarray)
        assert isinstance(large, np.ndarray)
        assert min(small.shape[:2]) == min(30, *large.shape[:2])
        assert small.shape[0] / small.shape[1] == pytest.approx(large.shape[0] / large.shape[1], rel=0.05)


def test_a_damaged_store_is_made_again(folder_root: Path, tmp_path: Path) -> None:
    images = _build(folder_root, tmp_path).images["val"]
    assert isinstance(images, DecodedCache)
    before, file = images[0].copy(), images.folder / "pixels.npy"
    content = bytearray(file.read_bytes())
    content[-len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    file.write_bytes(content)
    again = _build(folder_root, tmp_path).images["val"][0]
    assert np.array_equal(np.asarray(again), before)


def test_a_store_is_sent_to_other_processes_without_its_pixels(folder_root: Path, tmp_path: Path) -> None:
    images = _build(folder_root, tmp_path, 1000).images["train"]
    assert isinstance(images, DecodedCache)
    first, size = images[0], (images.folder / "pixels.npy").stat().st_size
    sent = pickle.dumps(images)
    assert len(sent) < size / 4
    assert np.array_equal(pickle.loads(sent)[0], first)  # noqa: S301


def test_what_cannot_be_prepared_is_refused(folder_root: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="prepared >= resize"):
        override(ImageFolder(), ["prepared=200"])
    with pytest.raises(SettingsError, match="reduced=false"):
        override(ImageFolder(), ["prepared=256", "reduced=true"])
    with pytest.raises(DataError, match=r"data\.prepared=32"):
        _build(folder_root, tmp_path, 20).eval_loader("val", 8, crop=EvalCrop(ratio=0.5))
