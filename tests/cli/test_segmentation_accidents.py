"""What goes wrong with one's own images and label files: a training refuses it before its first step, with the file,
its values and the command that mends it. What `ablata data check` says of the same: tests/data/test_label_check.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONVERT = "ablata data convert"
FIRST = "labels/train/0.png"


def own_set(root: Path, values: tuple[int, ...] = (0, 1, 2, 3)) -> Path:
    """Write four pairs to train on and two to validate on; every label file holds all values."""
    random = np.random.default_rng(0)
    mask = np.repeat(np.array(values, np.uint8), 8)[None].repeat(24, 0)
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
            image = random.integers(0, 256, (*mask.shape, 3), dtype=np.uint8)
            Image.fromarray(image).save(root / "images" / split / f"{number}.png")
            Image.fromarray(mask).save(root / "labels" / split / f"{number}.png")
    (root / "classes.txt").write_text("".join(f"{value} class{value}\n" for value in values))
    return root


def masks(root: Path, change: Callable[[np.ndarray], np.ndarray], where: str = "labels/*/*.png") -> None:
    """Change label files."""
    for file in root.glob(where):
        Image.fromarray(change(np.asarray(Image.open(file)))).save(file)


def with_gaps(root: Path) -> None:
    masks(own_set(root), lambda mask: np.array([0, 74, 128, 145], np.uint8)[mask])


def background(root: Path) -> None:
    masks(own_set(root), lambda mask: np.where(mask == 3, 255, mask).astype(np.uint8))


def in_one_file(root: Path) -> None:
    def spoil(mask: np.ndarray) -> np.ndarray:
        spoiled = mask.copy()
        spoiled[0, :2] = 9
        return spoiled

    masks(own_set(root), spoil, FIRST)


def compressed(root: Path) -> None:
    mask = Image.open(own_set(root) / FIRST).copy()
    (root / FIRST).unlink()
    mask.save((root / FIRST).with_suffix(".jpg"))


def deep(root: Path) -> None:
    masks(own_set(root), lambda mask: mask.astype(np.uint16) * 257, FIRST)


def palette(root: Path) -> None:
    own_set(root, (0, 74, 128, 145))
    indices = np.searchsorted([0, 74, 128, 145], np.asarray(Image.open(root / FIRST))).astype(np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([0, 0, 0, 74, 74, 74, 128, 128, 128, 145, 145, 145])
    image.save(root / FIRST)


def alone(root: Path) -> None:
    (own_set(root) / FIRST).unlink()


def without_list(root: Path) -> None:
    (own_set(root) / "classes.txt").unlink()


ACCIDENTS = [
    pytest.param(with_gaps, (FIRST, "74 (192 pixels), 128 (192 pixels), 145 (192 pixels)"), id="values with gaps"),
    pytest.param(background, (FIRST, "255 (192 pixels)"), id="255 as background"),
    pytest.param(in_one_file, (FIRST, "9 (2 pixels)"), id="a value in one file"),
    pytest.param(compressed, ("labels/train/0.jpg", "JPEG"), id="JPEG"),
    pytest.param(deep, (FIRST, "257 (192 pixels), 514 (192 pixels), 771 (192 pixels)"), id="16 bits"),
    pytest.param(palette, (FIRST, "1 (192 pixels), 2 (192 pixels), 3 (192 pixels)"), id="palette"),
    pytest.param(alone, ("0 has no mask", "--paired-only"), id="no label"),
    pytest.param(without_list, ("no classes.txt", "--propose-map"), id="no class list"),
]


def told(text: str) -> str:
    """Return what was printed without the breaks of its lines."""
    return " ".join(text.split())


@pytest.mark.parametrize(("accident", "words"), ACCIDENTS)
def test_an_accident_of_label_files_is_refused_with_what_mends_it(
    ablata: Callable, tmp_path: Path, accident: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    accident(tmp_path / "own")
    answer = ablata("train", "custom_segmentation", f"data.root={tmp_path / 'own'}", "train.steps=1", "train.batch=2")
    assert answer.status == 2
    for word in (*words, CONVERT):
        assert word in told(answer.err)
    assert "Traceback" not in answer.err


def test_images_of_256_are_refused_by_a_network_that_needs_more_with_the_settings_that_mend_it(
    ablata: Callable, tmp_path: Path
) -> None:
    own_set(tmp_path / "own")
    network = ("model=features", "model.backbone=timm", "model.backbone.name=vit_tiny_patch16_224")
    answer = ablata(
        *("train", "custom_segmentation", f"data.root={tmp_path / 'own'}", "train.steps=1", "train.batch=2"),
        *(*network, "model.backbone.image_size=384"),
    )
    assert answer.status == 2
    for word in ("256x256", "384", "data.augment.crop.height=384 data.augment.crop.width=384"):
        assert word in told(answer.err)


def test_a_class_missing_from_validation_is_told_before_the_first_step(ablata: Callable, tmp_path: Path) -> None:
    masks(own_set(tmp_path / "own"), lambda mask: np.where(mask == 3, 0, mask).astype(np.uint8), "labels/val/*.png")
    small = ("model.width=2", "model.exchanges=[1,1,1]", "model.blocks=1", "loss.projection.width=4")
    crop = ("data.augment.crop.height=32", "data.augment.crop.width=32", "compute.threads=1")
    answer = ablata(
        *("train", "custom_segmentation", f"data.root={tmp_path / 'own'}", "train.steps=2", "train.batch=2"),
        *(*small, *crop, "schedule.warmup=null"),
    )
    assert answer.status == 0, answer.err
    assert "1 class has no pixel in val: class3" in told(answer.err)
    checked = ablata("data", "check", str(tmp_path / "own"))
    assert (checked.status, "missing class: class3" in told(checked.out)) == (1, True)
    assert "--val 0.2" in told(checked.out + checked.err)
