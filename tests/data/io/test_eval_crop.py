"""Evaluation crops against torchvision's and PIL's own crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from ablata.base.errors import DataError
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_files import ImageFileDataset
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.io.eval_crop import DEFAULT, EvalCrop, eval_crop


def image(height: int = 50, width: int = 71) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def cropped(crop: EvalCrop, size: int = 28, short: int = 32) -> np.ndarray:
    return eval_crop(image(), crop, size=size, short=short, backend="pil", interpolation="bilinear")


def centred(short: int, size: int) -> np.ndarray:
    return np.asarray(v2.CenterCrop(size)(v2.Resize(short)(image())))


def test_the_own_crop_is_resize_and_centre_crop() -> None:
    np.testing.assert_array_equal(cropped(DEFAULT), centred(32, 28))


def test_a_ratio_sets_the_resize_whatever_the_settings_say() -> None:
    for ratio, short in ((0.875, 32), (0.7, 40), (1.0, 28)):
        np.testing.assert_array_equal(cropped(EvalCrop(ratio=ratio), short=30), centred(short, 28))


def test_the_whole_crop_is_the_resized_square_that_holds_the_own_one() -> None:
    whole = cropped(EvalCrop(whole=True))
    np.testing.assert_array_equal(whole, centred(32, 32))
    np.testing.assert_array_equal(whole[2:30, 2:30], cropped(DEFAULT))


def test_crop_first_cuts_the_same_share_and_resizes_then() -> None:
    side = round(50 * 28 / 32)
    top, left = (50 - side) // 2, (71 - side) // 2
    expected = image().crop((left, top, left + side, top + side)).resize((28, 28), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(cropped(EvalCrop(crop_first=True)), np.asarray(expected))
    assert (cropped(EvalCrop(crop_first=True)) != cropped(DEFAULT)).any()


def folder(root: Path, cache: Path, **settings: int) -> ImageFileDataset:
    return ImageFolder.model_validate({"root": str(root), "size": 16, "resize": 20, "workers": 0, **settings}).build(
        cache
    )


def test_a_folder_reads_the_crop_that_is_asked_for(folder_root: Path, tmp_path: Path) -> None:
    data = folder(folder_root, tmp_path)
    own, whole = (next(iter(data.eval_loader("val", 11, crop=crop))).images for crop in (DEFAULT, EvalCrop(whole=True)))
    assert own.shape == (11, 3, 16, 16)
    torch.testing.assert_close(whole[..., 2:18, 2:18], own)


def test_a_crop_that_the_set_does_not_have_is_refused(folder_root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.resize > data\.size[^*]*data\.resize=16"):
        folder(folder_root, tmp_path, resize=16).check_crop(EvalCrop(whole=True))
    with pytest.raises(DataError, match="kept at 8x8"):
        Digits().build(tmp_path).eval_loader("val", 4, crop=EvalCrop(crop_first=True))
