"""Small sets as annotation tools write them, clean until a test spoils them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 96, 128


def draw(path: Path, seed: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    """Write an image of noise, another for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)).save(path)
    return path


YOLO_LINES = ("0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.125 0.25\n", "1 0.5 0.25 0.5 0.25\n")
YOLO_CONFIG = "train: images/train\nval: images/val\nnc: 2\nnames: ['cat', 'no']\n"


def write_yolo(root: Path, config: str | None = YOLO_CONFIG, lines: tuple[str, ...] = YOLO_LINES) -> Path:
    """Write images/SPLIT and labels/SPLIT with data.yaml: three images to train on, the last without a label file, and
    two to score on."""
    for split, first in (("train", 0), ("val", 10)):
        for number in range(3 if split == "train" else 2):
            draw(root / "images" / split / f"{number}.jpg", first + number)
            if number < len(lines):
                label = root / "labels" / split / f"{number}.txt"
                label.parent.mkdir(parents=True, exist_ok=True)
                label.write_text(lines[number])
    if config is not None:
        (root / "data.yaml").write_text(config)
    return root
