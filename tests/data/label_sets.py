"""Small folders of images and label files, made to be spoiled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ablata.data.io.decode import RULES, ImageRules
from ablata.data.label_tools.check import LabelReport, judge
from ablata.data.label_tools.scan import ReadOptions, guess_form
from ablata.data.label_tools.survey import survey
from ablata.data.labels.class_lists import find_list, read_list
from ablata.data.labels.layout import USUAL, FolderNames, find_labeled_folder
from ablata.data.labels.table import Form

SIZE = (12, 16)


def blocks(values: list[int], seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return uint8 [H, W] with columns of every value."""
    edges = np.linspace(0, size[1], len(values) + 1).astype(int)
    mask = np.zeros(size, np.uint8)
    for value, left, right in zip(values, edges, edges[1:], strict=False):
        mask[:, left:right] = value
    return np.roll(mask, seed, axis=1)


def image(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Return an image like no other."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def write(root: Path, split: str, name: str, mask: np.ndarray, seed: int, suffix: str = "png") -> Path:
    """Write a pair; return the label file."""
    for kind in ("images", "labels"):
        (root / kind / split / name).parent.mkdir(parents=True, exist_ok=True)
    image(seed, mask.shape[:2]).save(root / "images" / split / f"{name}.png")
    file = root / "labels" / split / f"{name}.{suffix}"
    Image.fromarray(mask).save(file)
    return file


def small_set(root: Path, values: list[int], train: int = 8, val: int = 4) -> Path:
    """Write a set in which every label file holds every value."""
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            seed = number + 100 * (split == "val")
            write(root, split, f"p{number:02}", blocks(values, number % SIZE[1]), seed)
    return root


def checked(
    root: Path,
    names: FolderNames = USUAL,
    workers: int | None = None,
    rules: ImageRules = RULES,
    form: Form | None = None,
) -> LabelReport:
    """Check a folder as the command does."""
    labelled = find_labeled_folder(str(root), names, root.parent / "cache")
    file = find_list(labelled.root)
    known = read_list(file) if file else None
    form = form or guess_form(labelled.samples, known)
    seen = survey(labelled, ReadOptions(form, rules=rules), workers=workers)
    return judge(labelled, seen, known, str(root), rules=rules)
