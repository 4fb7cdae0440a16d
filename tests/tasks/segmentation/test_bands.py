"""Images with other than three bands, of masks, classes and boxes: how they are read, constants, training."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from ablata.base.errors import DataError
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.formats.boxes import BoxSet
from ablata.data.io.decode import ImageRules, decode_bands, open_image, to_rgb
from ablata.data.io.encoded import Encoded
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.transforms.auto_augment import RandAugment
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.color_jitter import ColorJitter
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.segmentation import Crop, JointAugment
from ablata.engine.train import train
from ablata.recipes.index import load_recipe

SIDE = 32
ALL = (0, 1, 2, 3, 4)
CROPPED = JointAugment(crop=Crop(height=SIDE, width=SIDE), color_jitter=ColorJitter(contrast=0.1, saturation=0.1))


def write_tiff(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 [H, W, C] as an uncompressed TIFF of C bands."""
    height, width, count = pixels.shape
    fields = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 0), (277, count), (278, height)]
    fields += [(279, pixels.nbytes), (284, 1)]
    start = 8 + 2 + 12 * len(fields) + 4
    values = dict(fields) | {273: start + 2 * count}
    entries = [
        struct.pack("<HHII", tag, 3 if tag == 258 else 4, count if tag == 258 else 1, start if tag == 258 else value)
        for tag, value in values.items()
    ]
    header = b"II*\0" + struct.pack("<IH", 8, len(fields)) + b"".join(entries) + struct.pack("<I", 0)
    path.write_bytes(header + struct.pack(f"<{count}H", *[8] * count) + pixels.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("bands"), np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            label = np.zeros((SIDE, SIDE), np.uint8)
            label[random.integers(4, 12) : 24, random.integers(4, 12) : 24] = 1
            pixels = random.integers(0, 256, (SIDE, SIDE, 5), dtype=np.uint8)
            # The last band alone tells what is there.
            pixels[..., 4] = np.where(label, 250, 5)
            write_tiff(root / "images" / split / f"{number}.tif", pixels)
            Image.fromarray(label).save(root / "labels" / split / f"{number}.png")
    (root / "classes.txt").write_text("ground\nbox\n")
    return root


def test_bands_are_decoded_in_the_order_that_is_chosen_and_shown_as_three(folder: Path) -> None:
    file = folder / "images" / "train" / "0.tif"
    stored = np.frombuffer(file.read_bytes()[-SIDE * SIDE * 5 :], np.uint8).reshape(SIDE, SIDE, 5)
    for bands in (ALL, (4, 0), (1, 3, 2, 0)):
        pixels, _ = decode_bands(open_image(file, "f"), "f", ImageRules(bands=bands))
        np.testing.assert_array_equal(pixels, stored[..., list(bands)])
    shown = np.asarray(to_rgb(open_image(file, "f"), "f", ImageRules(bands=(4, 0))))
    np.testing.assert_array_equal(shown, stored[..., [4, 0, 4]])
    with pytest.raises(DataError, match="of 5 bands"):
        decode_bands(open_image(file, "f"), "f", ImageRules(bands=(0, 5)))


def test_constants_are_those_of_the_training_images_unless_they_are_given(folder: Path, tmp_path: Path) -> None:
    data = MaskFolder(root=str(folder), bands=ALL, augment=CROPPED).build(tmp_path)
    files = sorted((folder / "images" / "train").iterdir())
    images = np.stack([decode_bands(open_image(file, "f"), "f", ImageRules(bands=ALL))[0] for file in files]) / 255
    np.testing.assert_allclose(data.mean, images.mean((0, 1, 2)), atol=1e-9)
    np.testing.assert_allclose(data.std, images.std((0, 1, 2)), atol=1e-9)
    with pytest.raises(DataError, match="a number for each band"):
        MaskFolder(root=str(folder), bands=ALL, mean=(0.5,), std=(0.5,)).build(tmp_path)


@pytest.mark.slow
def test_a_network_learns_from_a_band_that_colors_do_not_show(folder: Path, tmp_path: Path) -> None:
    data = MaskFolder(root=str(folder), bands=ALL, augment=CROPPED)
    shorter = [
        "train.epochs=null",
        "train.steps=30",
        "train.batch=4",
        "sliding_window.size=32",
        "model.backbone.width=8",
    ]
    recipe = load_recipe("bisenet_scenes", shorter)
    outcome = train(recipe.model_copy(update={"data": data}), 0, tmp_path / "run", tmp_path)
    assert outcome.scores["val/ss/miou"] > 60


def test_classes_and_boxes_see_all_bands_that_are_chosen(folder: Path, tmp_path: Path) -> None:
    root, shape = tmp_path / "sets", (20, 24, 5)
    random = np.random.default_rng(1)
    stored = []
    for number in range(6):
        pixels = random.integers(0, 256, shape, dtype=np.uint8)
        for place in (root / "classes" / ("train" if number < 4 else "val") / "ab"[number % 2], root / "boxes/images"):
            place.mkdir(parents=True, exist_ok=True)
            write_tiff(place / f"{number}.tif", pixels)
        (root / "boxes/labels").mkdir(exist_ok=True)
        (root / f"boxes/labels/{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        stored.append(pixels)
    bands = (4, 0, 1, 3, 2)
    images = np.stack(stored)[..., list(bands)] / 255
    plain = DetectionAugment(min_size=(20,), max_size=40, flip=False)
    for backend in ("torch", "pil", "opencv"):
        data = ImageFolder(
            root=str(root / "classes"), bands=bands, size=16, resize=20, crop="center", backend=backend, workers=0
        ).build(tmp_path)
        assert data.channels == 5
        np.testing.assert_allclose(data.mean, images[:4].mean((0, 1, 2)), atol=1e-9)
        np.testing.assert_allclose(data.std, images[:4].std((0, 1, 2)), atol=1e-9)
        seen = next(iter(data.eval_loader("val", 2))).images
        mean, std = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in (data.mean, data.std))
        own = {tuple(image[2:18, 4:20, 0].ravel()[:4].tolist()) for image in images[4:]}
        back = (seen * std + mean).permute(0, 2, 3, 1).double().numpy()
        assert {tuple((image[..., 0].ravel()[:4] * 255).round().tolist()) for image in back} == {
            tuple(round(value * 255) for value in values) for values in own
        }, backend
    boxes = BoxSet(root=str(root / "boxes"), format="yolo", bands=bands, augment=plain).build(tmp_path)
    train = boxes.splits["train"].index
    assert boxes.channels == 5
    assert next(iter(boxes.eval_loader("val", 1))).images.shape[1] == 5
    files = [int(entry.name.rpartition("/")[2].removesuffix(".tif")) for entry in boxes.sources["train"].entries]
    np.testing.assert_allclose(boxes.mean, images[[files[row] for row in train]].mean((0, 1, 2)), atol=1e-9)
    with pytest.raises(ValidationError, match=r"augment\.policy changes colors, but the images have 5 bands"):
        ImageFolder(bands=bands, augment=Augment(policy=RandAugment()))


def test_bands_of_a_jpeg_are_those_that_are_chosen(tmp_path: Path) -> None:
    """Ordinary JPEGs have a faster way, which knows of no bands."""
    smooth = np.broadcast_to(np.array([200, 100, 30], np.uint8), (16, 16, 3))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    content = (tmp_path / "a.jpg").read_bytes()
    for bands, expected in (((2, 1, 0), [30, 100, 200]), ((1, 1, 1), [100] * 3), ((2, 0), [30, 200])):
        pixels = Encoded(content, "a.jpg", ImageRules(bands=bands)).array("opencv")
        assert np.abs(pixels.astype(int) - expected).max() <= 3, bands
