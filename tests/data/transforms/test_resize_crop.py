"""Sets in memory whose images are enlarged: filters against their libraries, who sees which images, the record."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.classification.digits import Digits
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.io.crop import Backend, Interpolation
from ablata.data.loading.in_memory import InMemoryDataset
from ablata.data.loading.loaders import BatchIndices
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.resize_crop import ResizeCrop, center_crop
from ablata.structures.batch import Rows

BACKENDS: tuple[Backend, ...] = ("torch", "pil", "opencv")
every_filter = pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])


def inputs(count: int = 5, height: int = 32, width: int = 32, channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def scenes(tmp_path: Path, augment: Augment) -> InMemoryDataset:
    return Scenes(train=24, val=10, streets=Streets(height=16, width=24), augment=augment).build(tmp_path)


@every_filter
def test_each_backend_gives_its_librarys_pixels(interpolation: Interpolation) -> None:
    images = inputs()
    found = {name: ResizeCrop(backend=name, interpolation=interpolation).apply(images) for name in BACKENDS}
    for row, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        pil = Image.fromarray(image).resize((40, 40), getattr(Image.Resampling, interpolation.upper()))
        assert np.array_equal(found["pil"][row].permute(1, 2, 0).numpy(), np.asarray(pil))
        flag = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[interpolation]
        assert np.array_equal(
            found["opencv"][row].permute(1, 2, 0).numpy(), cv2.resize(image, (40, 40), interpolation=flag)
        )
    apart = (found["torch"].int() - found["pil"].int()).abs().max()
    assert apart <= 2
    assert not torch.equal(found["opencv"], found["pil"])


def test_one_channel_stays_one_channel() -> None:
    for backend in BACKENDS:
        grey = inputs(channels=1)
        enlarged = ResizeCrop(backend=backend).apply(grey)
        assert torch.equal(enlarged, ResizeCrop(backend=backend).apply(grey.expand(-1, 3, -1, -1))[:, :1])


def test_the_shorter_side_gets_the_wanted_length_and_the_shape_stays() -> None:
    enlarge = ResizeCrop(side=20)
    assert enlarge.size(16, 24) == (20, 30)
    assert enlarge.size(24, 16) == (30, 20)
    assert enlarge.apply(inputs(height=16, width=24)).shape == (5, 3, 20, 30)


def test_the_middle_is_cut_at_equal_distance_from_both_sides() -> None:
    images = inputs(height=10, width=14)
    assert torch.equal(center_crop(images, 6, 8), images[:, :, 2:8, 3:11])


@pytest.mark.parametrize("evaluation", [False, True])
def test_training_sees_parts_of_larger_images_and_evaluation_what_is_asked_for(
    tmp_path: Path, evaluation: bool
) -> None:
    enlarge = ResizeCrop(side=20, evaluation=evaluation)
    data = scenes(tmp_path, Augment(resize=enlarge))
    stored = scenes(tmp_path, Augment())
    plain = next(iter(stored.train_loader(0, 24).batches(0, 1)))
    raw = next(iter(data.train_loader(0, 24).batches(0, 1)))
    assert torch.equal(raw.index, plain.index)
    assert torch.equal(raw.images, enlarge.apply(plain.images))
    assert data.train_loader(0, 24).augment(raw, 0, 0).images.shape == (24, 3, 16, 24)
    reader = stored.reader("val", training=False, seed=0, device=torch.device("cpu"))
    as_stored = next(iter(reader.read([BatchIndices(np.arange(10), Rows(0, 10))]))).images
    expected = center_crop(enlarge.apply(as_stored), 16, 24) if evaluation else as_stored
    seen = next(iter(data.eval_loader("val", 10))).images
    assert torch.equal(seen, Normalizer(data.mean, data.std)(expected))


def test_what_enlarges_is_recorded(tmp_path: Path) -> None:
    names = {backend: scenes(tmp_path, Augment(resize=ResizeCrop(backend=backend))).backend for backend in BACKENDS}
    assert len(set(names.values())) == 3
    assert names["opencv"].startswith("exact, enlarged by opencv ")
    assert names["opencv"].endswith("bilinear no-antialias")
    assert names["pil"].endswith("bilinear antialias")
    assert scenes(tmp_path, Augment()).backend == "exact"


def test_digits_can_be_enlarged(tmp_path: Path) -> None:
    data = Digits(augment=Augment(resize=ResizeCrop(side=10, backend="pil"))).build(tmp_path)
    loader = data.train_loader(0, 32)
    raw = next(iter(loader.batches(0, 1)))
    assert (raw.images.shape, loader.augment(raw, 0, 0).images.shape) == ((32, 1, 10, 10), (32, 1, 8, 8))


def test_a_set_of_files_has_its_own_crops_and_refuses(folder_root: Path, tmp_path: Path) -> None:
    settings = ImageFolder(root=str(folder_root), size=16, resize=18, augment=Augment(resize=ResizeCrop(side=20)))
    with pytest.raises(DataError, match=r"lie in memory(.|\n)*data\.crop=random"):
        settings.build(tmp_path)
